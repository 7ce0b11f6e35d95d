"""NASNet-A's cells, for the peers: blocks of (state, operation), and what is concatenated."""
OPS = {"sep3": 3, "sep5": 5, "sep7": 7}
NORMAL = dict(
    blocks=[((0, "sep5"), (1, "sep3")), ((1, "sep5"), (1, "sep3")), ((0, "avg"), (1, "none")),
            ((1, "avg"), (1, "avg")), ((0, "sep3"), (0, "none"))],
    concat=[1, 2, 3, 4, 5, 6])
REDUCTION = dict(
    blocks=[((0, "sep5"), (1, "sep7")), ((0, "max"), (1, "sep7")), ((0, "avg"), (1, "sep5")),
            ((3, "none"), (2, "avg")), ((2, "sep3"), (0, "max"))],
    concat=[3, 4, 5, 6])
