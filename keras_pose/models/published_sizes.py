"""Parameters and GMACs of networks, as published or counted elsewhere."""

HOURGLASSES = {
    1: (3_426_448, 5.150),
    2: (6_570_400, 8.335),
    4: (12_858_304, 14.703),
    8: (25_434_112, 27.440),
}
"""Stacks: Newell's released graph, counted in the reference code."""
BASELINES = {
    ((256, 192), 17): {
        50: (33_999_697, 5.426),
        101: (52_991_825, 9.063),
        152: (68_635_473, 12.699),
    },
    ((256, 256), 16): {
        50: (33_999_440, 7.234),
        101: (52_991_568, 12.083),
        152: (68_635_216, 16.931),
    },
}
"""Size and joints, depth: Simple Baselines, counted in the authors' code."""
PYRAMIDS = {
    (50, (256, 192)): (27_406_826, 7.316),
    (50, (384, 288)): (27_406_826, 16.460),
    (101, (256, 192)): (46_398_954, 10.952),
}
"""Depth and size: CPN, counted in the code whose weights are published."""
DIRECT = {
    ((256, 256), 16): {50: 23_573_600, 101: 42_565_728, 152: 58_209_376},
    ((256, 192), 17): {50: 23_577_698, 101: 42_569_826, 152: 58_213_474},
    ((224, 224), 14): {50: 23_565_404},
}
"""Size and joints, depth: mmpose's DeepPose; by hand, ResNet and 2 K x 2049."""
ALEXNETS = {
    (10, 1): (58_363_284, 1.131),
    (14, 1): (58_396_060, 1.131),
    (16, 1): (58_412_448, 1.131),
    (10, 2): (56_950_164, None),
    (14, 2): (56_982_940, None),
    (16, 2): (56_999_328, None),
}
"""Joints and groups: one stage of DeepPose, counted by hand from its layers."""
HRNETS = {32: (28_536_113, 7.645), 48: (63_595_745, 15.692)}
"""Width: HRNet, counted in the authors' code."""
MACHINES = {
    ("authors", (368, 368), 14): (31_219_866, 175.438),
    ("mmpose", (256, 192), 17): (31_304_166, 63.736),
}
"""Form, size and joints: CPM, counted by hand from the layers' table."""
LOCALIZERS = {
    "coarse": (18_615_568, 41.196),
    "coarse and fine": (18_615_568 + 3_314_960, 41.196 + 27.227),
}
"""Tompson et al., counted by hand from our layers: the paper prints no size."""
OPENPOSE = {
    (18, 19, 6): (52_311_446, 135.934),
    (18, 19, 3): (25_956_971, 80.178),
    (18, 19, 2): (17_172_146, 61.593),
    (18, 19, 1): (8_387_321, 43.007),
    (15, 14, 6): (51_481_032, 134.177),
    (15, 14, 4): (34_240_880, 97.704),
    (16, 15, 6): (51_672_666, 134.582),
    (16, 15, 3): (25_698_381, 79.631),
}
"""Joints, limbs, stages: counted from the released prototxt, at 368 x 368."""
LIGHTWEIGHT = {
    2: (4_091_698, 8.882),
    3: (5_700_331, 12.275),
    4: (7_308_964, 15.669),
}
"""Stages: Lightweight OpenPose, counted in the author's code, at 368 x 368."""
BODY_25 = (26_166_084, 80.573)
"""The same of BODY_25, slopes counted."""
