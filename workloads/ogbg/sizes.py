"""What both frameworks' graph networks have in common."""

# Of an atom: element, chirality, degree, charge, hydrogens, radical electrons, hybridization, aromaticity, ring.
NUM_NODE_FEATURES = 9
# Of a bond: type, stereochemistry, conjugation.
NUM_EDGE_FEATURES = 3
