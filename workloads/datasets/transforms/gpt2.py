"""GPT-2's byte-pair encoding (Radford et al. 2019), whole or with the first of its merges only, by tiktoken.

A token's rank says when its merge was learnt, so the tokens of the lowest ranks are the encoding that a training which
had stopped there would have given. That library would download the ranks; here they come from a pinned package, and are
the file of which tiktoken knows the checksum, too.
"""

import base64
import tempfile
from pathlib import Path

import tiktoken

from workloads.datasets.raw.packages import check_sha256, unpack_sdist
from workloads.datasets.store import FileWriter

PACKAGE = "openai-whisper"
VERSION = "20250625"
SHA256 = "37a91a3921809d9f44748ffc73c0a55c9f366c85a3ef5c2ae0cc09540432eb96"
FILE = "gpt2.tiktoken"
FILE_SHA256 = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
WAY_OUT = f"put its file whisper/assets/{FILE} beside the raw files"

VOCAB_SIZE = 50_257
END_OF_TEXT = "<|endoftext|>"
# What is never merged across, as tiktoken writes GPT-2's pattern.
_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""


def read_ranks(folder: Path) -> bytes:
    """The ranks' file in `folder` or, where it has none, in the pinned package: a token in base 64 and its rank a line.

    Raises UsageError where it can not be had, and where it is another file.
    """
    with tempfile.TemporaryDirectory() as scratch:
        if not (folder / FILE).is_file():
            unpack_sdist(PACKAGE, VERSION, SHA256, Path(scratch), WAY_OUT)
            folder = Path(scratch) / f"{PACKAGE.replace('-', '_')}-{VERSION}" / "whisper/assets"
        check_sha256(folder / FILE, FILE_SHA256)
        return (folder / FILE).read_bytes()


def write_vocabulary(ranks: bytes, path: Path, vocab_size: int) -> FileWriter:
    """The vocab_size - 1 tokens of the lowest ranks; the end of a text is one more. Returns the closed writer."""
    with FileWriter(path) as writer:
        writer.write(b"".join(ranks.splitlines(keepends=True)[: vocab_size - 1]))
    return writer


def read_encoding(path: Path) -> tiktoken.Encoding:
    """The encoding of the vocabulary in `path`. Usable from several threads at once."""
    lines = (line.split() for line in path.read_bytes().splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    return tiktoken.Encoding(
        path.name,
        pat_str=_PATTERN,
        mergeable_ranks=ranks,
        special_tokens={END_OF_TEXT: len(ranks)},
        explicit_n_vocab=len(ranks) + 1,
    )
