"""What a submission asks to be installed, and what of it is not."""

import codecs
import importlib.metadata

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.submission import requirements

NUMPY = importlib.metadata.version("numpy")


@pytest.fixture
def check(tmp_path):
    def check(text, strict=False):
        (tmp_path / "requirements.txt").write_text(text)
        return requirements.check(tmp_path / "submission.py", strict)

    return check


def test_without_the_file_nothing_is_asked_for(tmp_path):
    requirements.check(tmp_path / "submission.py")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n\n",
        "numpy\nNumPy>=1  # as a submission writes it",
        f"numpy=={NUMPY} --hash=sha256:0123",
        "numpy\\\n>=1",
        "numpy>=1; python_version > '3'",
        "no-such-package; python_version < '3'",
        "-r other.txt\n--index-url https://example.org\n-e .",
        "git+https://example.org/x.git\n./wheels/x.whl",
        "numpy @ https://example.org/numpy.whl",
    ],
)
def test_what_is_installed_or_only_pip_can_tell_passes(check, text):
    assert check(text, strict=True) == ()


ENCODINGS = [("utf-8-sig", b""), ("utf-16", b""), ("utf-32", b""), ("utf-16-be", codecs.BOM_UTF16_BE)]


@pytest.mark.parametrize(("encoding", "mark"), ENCODINGS)
def test_a_file_that_begins_with_its_encoding_is_read_as_pip_reads_it(tmp_path, encoding, mark):
    text = "numpy>=1000  # wünscht sich"
    (tmp_path / "requirements.txt").write_bytes(mark + text.encode(encoding))
    (sentence,) = requirements.check(tmp_path / "submission.py")
    assert sentence == f"requirements.txt asks for numpy>=1000, and {NUMPY} is installed."


def test_another_version_is_a_sentence_and_refused_where_asked(tmp_path):
    (tmp_path / "requirements.txt").write_text("numpy==0.1\nnumpy\npytest<2\n")
    pins = requirements.check(tmp_path / "submission.py")
    assert [sentence.split(",")[0] for sentence in pins] == [
        "requirements.txt asks for numpy==0.1",
        "requirements.txt asks for pytest<2",
    ]
    with pytest.raises(UsageError, match=rf"requires numpy==0\.1 \({NUMPY} is installed\), pytest<2 "):
        requirements.check(tmp_path / "submission.py", strict=True)


def test_every_line_that_is_not_met_is_named_with_the_command(check, tmp_path):
    with pytest.raises(UsageError) as error:
        check("numpy>=1\nno-such-package>=2\nnumpy>=1000\n", strict=True)
    assert str(error.value) == (
        f"the submission {tmp_path}/submission.py requires no-such-package>=2 (not installed), numpy>=1000 ({NUMPY} is "
        f"installed): run `python -m pip install -r {tmp_path}/requirements.txt`, give it an environment of its own by "
        "`algoperf submission env`, or change that file."
    )


def test_a_line_that_is_no_requirement_is_named(check):
    with pytest.raises(UsageError, match="the line 'numpy = 1', which is not a requirement"):
        check("numpy = 1")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "requirements.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"requirements\.txt cannot be read"):
        requirements.check(tmp_path / "submission.py")
