"""Molecules as graphs: the features of atoms and bonds that the Open Graph Benchmark has, and the split by scaffold.

Source: ogb 1.3, `ogb/utils/features.py`. A feature is the place of a value in a list, counted from 0; what is not in
the list has the place behind its end.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold

_CHIRALITIES = ("CHI_UNSPECIFIED", "CHI_TETRAHEDRAL_CW", "CHI_TETRAHEDRAL_CCW", "CHI_OTHER")
_HYBRIDIZATIONS = ("SP", "SP2", "SP3", "SP3D", "SP3D2")
_BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
_STEREO = ("STEREONONE", "STEREOZ", "STEREOE", "STEREOCIS", "STEREOTRANS", "STEREOANY")


class Feature(NamedTuple):
    """What is asked of an atom or a bond, and the place of each answer."""

    ask: Callable[[Any], Any]
    places: dict[Any, int]


def _feature(ask: Callable[[Any], Any], values: Iterable[Any]) -> Feature:
    return Feature(ask, {value: place for place, value in enumerate(values)})


ATOM_FEATURES = (
    _feature(Chem.Atom.GetAtomicNum, range(1, 119)),
    _feature(Chem.Atom.GetChiralTag, (Chem.ChiralType.names[name] for name in _CHIRALITIES)),
    _feature(Chem.Atom.GetTotalDegree, range(11)),
    _feature(Chem.Atom.GetFormalCharge, range(-5, 6)),
    _feature(Chem.Atom.GetTotalNumHs, range(9)),
    _feature(Chem.Atom.GetNumRadicalElectrons, range(5)),
    _feature(Chem.Atom.GetHybridization, (Chem.HybridizationType.names[name] for name in _HYBRIDIZATIONS)),
    _feature(Chem.Atom.GetIsAromatic, (False, True)),
    _feature(Chem.Atom.IsInRing, (False, True)),
)
BOND_FEATURES = (
    _feature(Chem.Bond.GetBondType, (Chem.BondType.names[name] for name in _BONDS)),
    _feature(Chem.Bond.GetStereo, (Chem.BondStereo.names[name] for name in _STEREO)),
    _feature(Chem.Bond.GetIsConjugated, (False, True)),
)


class Graph(NamedTuple):
    """A molecule: nodes (n, 9) and edges (e, 3) uint8, ends (e, 2) int64; a bond stands once."""

    nodes: np.ndarray
    ends: np.ndarray
    edges: np.ndarray


def graph(molecule: Chem.Mol) -> Graph:
    # By their numbers: to go through `GetBonds()` takes more than twice as long.
    bonds = [molecule.GetBondWithIdx(number) for number in range(molecule.GetNumBonds())]
    atoms = [molecule.GetAtomWithIdx(number) for number in range(molecule.GetNumAtoms())]
    ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds]
    return Graph(
        _features(atoms, ATOM_FEATURES),
        np.array(ends, np.int64).reshape(-1, 2),
        _features(bonds, BOND_FEATURES),
    )


def _features(things: Sequence[Any], features: Sequence[Feature]) -> np.ndarray:
    rows = [[places.get(ask(thing), len(places)) for ask, places in features] for thing in things]
    return np.array(rows, np.uint8).reshape(-1, len(features))


def scaffold(molecule: Chem.Mol) -> str:
    """The rings and what connects them (Bemis and Murcko 1996), without chirality; "" where there is no ring."""
    return MurckoScaffold.MurckoScaffoldSmiles(mol=molecule, includeChirality=False)


def split_by_scaffold(scaffolds: Sequence[str], shares: Sequence[float]) -> list[np.ndarray]:
    """The numbers of the molecules of each part: molecules of one scaffold are in one part.

    Scaffolds are taken from the most frequent on; each goes to the first part that has room for it, the last has room
    for all. shares: of the molecules, for each part but the last. So the rare ones are in the last parts, as in OGB.
    """
    of_scaffold: dict[str, list[int]] = {}
    for number, name in enumerate(scaffolds):
        of_scaffold.setdefault(name, []).append(number)
    parts: list[list[int]] = [[] for _ in range(len(shares) + 1)]
    ends = np.cumsum([0, *shares]) * len(scaffolds)
    for numbers in sorted(of_scaffold.values(), key=len, reverse=True):
        sizes = [len(part) + len(numbers) for part in parts[:-1]]
        room = np.flatnonzero(sizes <= np.diff(ends))
        parts[room[0] if len(room) else -1] += numbers
    return [np.sort(np.array(part, np.int64)) for part in parts]
