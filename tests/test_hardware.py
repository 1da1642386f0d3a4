"""What the machine says of itself."""

import subprocess

from algoperf import hardware


def test_the_machine_has_a_processor_and_memory():
    assert hardware.cpu_name()
    assert hardware.memory_gib() >= 1
    machine = hardware.machine()
    assert machine["cpu_count"] >= 1
    assert machine["mem.total"] >= machine["mem.available"] > 0


def test_the_commit_says_whether_files_differ_from_it(tmp_path):
    assert hardware.git_commit(tmp_path) is None

    def git(*arguments):
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    commit = hardware.git_commit(tmp_path)
    assert len(commit) == 40
    (tmp_path / "file").write_text("2")
    assert hardware.git_commit(tmp_path) == commit + "+changes"
