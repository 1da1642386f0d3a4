"""The files that a hub of datasets lists, with the sizes and checksums that it says itself.

HF_ENDPOINT in the environment names another hub with the same interface, as for that hub's own tools.
"""

import fnmatch
import os
from pathlib import PurePosixPath
from urllib.parse import quote

from algoperf.benchmark.facts import InfrastructureError
from workloads.datasets.fetch.client import Client, RefusedError
from workloads.datasets.fetch.official import File, Listed

_PUBLIC = "https://huggingface.co"


def list_files(listed: Listed, client: Client) -> list[File]:
    """The files of the first of the forms that there is, in the order of their names.

    Raises InfrastructureError where there are others than this form has, or the hub does not answer.
    """
    hub = os.environ.get("HF_ENDPOINT", _PUBLIC).rstrip("/")
    paths = _tree(f"{hub}/api/datasets/{listed.repository}/tree/main?recursive=true", client)
    for form, count in listed.forms.items():
        chosen = sorted(path for path in paths if fnmatch.fnmatchcase(path, form))
        if chosen and count not in (0, len(chosen)):
            raise InfrastructureError(
                f"{listed.repository} lists {len(chosen):,} files {form} and not {count:,}; has it been published anew?"
            )
        if chosen:
            return [_file(hub, listed, path, paths[path]) for path in chosen]
    raise InfrastructureError(f"{listed.repository} lists no files {' or '.join(listed.forms)}.")


def _tree(url: str | None, client: Client) -> dict[str, dict]:
    """Path -> what the hub says of the file, from all pages of its list."""
    found = {}
    try:
        while url is not None:
            page, url = client.read_json(url)
            found |= {entry["path"]: entry for entry in page if entry["type"] == "file"}
    except RefusedError as error:
        raise InfrastructureError(f"the list of files can not be had: {error}.") from error
    except (TypeError, KeyError) as error:
        raise InfrastructureError(f"the hub gives another list of files than is known here ({error!r}).") from error
    return found


def _file(hub: str, listed: Listed, path: str, entry: dict) -> File:
    # Of a large file `oid` is Git's, of the pointer; that of the content stands under `lfs`.
    checksum = ("sha256", entry["lfs"]["oid"]) if "lfs" in entry else None
    name = path.removeprefix(listed.below)
    if ".." in PurePosixPath(name).parts or name.startswith("/"):
        raise InfrastructureError(f"{listed.repository} lists a file {path}, which would lie outside of the folder.")
    return File(
        name=name,
        urls=(f"{hub}/datasets/{listed.repository}/resolve/main/{quote(path, safe='/=')}",),
        bytes=entry["size"],
        checksum=checksum,
        source=listed.source,
        date=listed.date,
        verified=listed.verified,
    )
