"""The names that code has."""

from algoperf.submission import mentions


def test_attributes_and_strings_are_names_and_words_in_passing_are_not(tmp_path):
    (tmp_path / "a.py").write_text(
        '''"""Speaks of decay."""
def f(point, rate):  # and of momentum
    first = point.alpha
    return getattr(point, "beta", 0), {"gamma": 1}["gamma"], f(rate=first)
'''
    )
    found = mentions.names([tmp_path / "a.py"])
    assert {"alpha", "beta", "gamma"} <= found
    assert not {"decay", "momentum", "rate", "first", "point"} & found


def test_of_a_file_that_is_no_python_every_word_counts(tmp_path):
    (tmp_path / "old.py").write_text("print rate")
    (tmp_path / "binary.py").write_bytes(b"\xff\x00 decay")
    assert {"rate", "decay"} <= mentions.names(sorted(tmp_path.iterdir()))
    assert mentions.names([]) == set()
