"""The published files of each repository, and what their rows share.

Names, scores and licences are those that the repositories print, read at the
commits below. The licence is that of the code; none of them states one for the
weights, except where a row says so, and the terms of the data sets hold as
well.

leoxiaobin/deep-high-resolution-net.pytorch 6f69e46
microsoft/human-pose-estimation.pytorch     49f3f44
open-mmlab/mmpose                           759b39c
GengDavid/pytorch-cpn                       48696a9
JimmySuen/integral-human-pose               ad3f875
bearpaw/pytorch-pose                        edc7aec
anibali/pytorch-stacked-hourglass           d43449d
princeton-vl/pytorch_stacked_hourglass      ceedc14
HRNet/HRNet-Image-Classification            f760c98
Daniil-Osokin/lightweight-human-pose-estimation.pytorch d23c284
pytorch/vision                              054e54c
tensorboy/pytorch_Realtime_Multi-Person_Pose_Estimation 02174bc
"""

DETECTED = "detected (person AP 56.4)"
"""COCO_val2017_detections_AP_H_56_person.json, which all of them use but CPN,
whose repository has boxes of its own."""
ANNOTATED = "annotated"
COCO = {
    "data": "COCO",
    "measure": "AP",
    "protocol": "oks",
    "skeleton": "coco",
    "boxes": DETECTED,
}
MPII = {
    "data": "MPII",
    "measure": "PCKh@0.5",
    "protocol": "pckh",
    "skeleton": "mpii",
}
IMAGENET = {"data": "ImageNet", "measure": "top-1 accuracy", "flip": False}
MSRA = {
    "source": "simple-baselines",
    "place": "microsoft/human-pose-estimation.pytorch",
    "licence": "MIT, models for research purposes",
    "flip_shift": 1,
}
"""leoxiaobin/deep-high-resolution-net.pytorch prints the same scores."""
HRNET = {
    "source": "hrnet",
    "place": "leoxiaobin/deep-high-resolution-net.pytorch",
    "licence": "MIT",
    "flip_shift": 1,
}
MMPOSE = {
    "place": "open-mmlab/mmpose",
    "licence": "Apache-2.0",
    "flip_shift": 1,
}
BASELINES_MMPOSE = MMPOSE | {"source": "simple-baselines-mmpose"}
HRNET_MMPOSE = MMPOSE | {"source": "hrnet-mmpose"}
CPM_MMPOSE = MMPOSE | {"source": "cpm-mmpose"}
POINTS = {"flip_shift": None, "decoding": None}
"""Of coordinates there is nothing to shift or decode."""
INTEGRAL = COCO | MMPOSE | POINTS | {"source": "integral-mmpose", "beta": 1.0}
DEBIASED = INTEGRAL | {"beta": 10.0, "debias": True}
SPACE = POINTS | {
    "source": "integral",
    "place": "JimmySuen/integral-human-pose",
    "licence": "MIT",
    "data": "Human3.6M, MPII and COCO",
    "measure": "distance in space",
    "skeleton": "human36m",
    "beta": 1.0,
}
"""Their scores are mean distances in space, 57.5 mm on the challenge's
validation data (56.9 with mirrored pictures), which need the depth."""
DEEPPOSE = MMPOSE | POINTS | {"source": "deeppose-mmpose"}
DARK = {"decoding": "dark"}
"""MMPose blurs the maps before it decodes them; we do not."""
UDP = DARK | {"alignment": "udp", "flip_shift": 0}
CPN = {
    "source": "cpn",
    "place": "GengDavid/pytorch-cpn",
    "licence": "GPL-3.0",
    "boxes": ANNOTATED,
    "decoding": "second",
    "alignment": "center",
}
"""With true boxes, since its detections have no other users: with them it
prints 69.2, 72.2 and 72.3. Its boxes are 20 % and 30 % larger, ours 25 %."""
HOURGLASS = MPII | {"alignment": "center", "sigma": 1.0}
BEARPAW = HOURGLASS | {
    "source": "hourglass-pytorch-pose",
    "licence": "GPL-3.0",
    "measure": "PCKh@0.5, mean of joints",
    "protocol": "pckh-joints",
    "flip": False,
}
BSD = {"licence": "BSD-3-Clause"}
PRINCETON = (
    HOURGLASS
    | BSD
    | {
        "source": "hourglass-princeton",
        "place": "princeton-vl/pytorch_stacked_hourglass",
        "measure": "PCKh@0.5 of all 16 joints",
        "protocol": None,
    }
)
WHOLE = COCO | {"boxes": None, "flip_shift": None, "decoding": None}
WHOLE |= {"alignment": "center"}
"""Everybody in a picture. They enlarge the maps to look for peaks, and group
them in their own ways: the figures are not those of the decoding here."""
TENSORBOY = WHOLE | {
    "source": "openpose-tensorboy",
    "place": "tensorboy/pytorch_Realtime_Multi-Person_Pose_Estimation",
    "licence": "CMU, non-commercial",
    "stages": 6,
}
"""Converted from the authors' (CMU's) weights, whose licence holds; the
repository has no licence file. Its README prints 65.3 with mirrored pictures,
57.7 without; its script for that, at the commit above, reads another file and
mirrors nothing. The shorter side is 368 pixels, as nearly (372) in 496 x 496 of
a picture of 4:3."""
OSOKIN = WHOLE | {
    "source": "openpose-lightweight",
    "place": "Daniil-Osokin/lightweight-human-pose-estimation.pytorch",
    "licence": "Apache-2.0",
    "flip": False,
    "stages": 2,
}
"""The file was trained with more stages, which its test leaves out. Pictures
are 368 high, as in 368 x 656 unless they are wider; beside them it is grey
there, black here."""
VISION = {"source": "resnet", "place": "pytorch/vision"} | BSD
CLASSES = IMAGENET | HRNET | {"source": "hrnet-imagenet"}
AUTHORS = CLASSES | {"place": "HRNet/HRNet-Image-Classification"}
TABLES = (
    (
        MSRA | COCO,
        "Simple Baselines, ResNet-{}",
        """
pose_resnet_50_256x192 50 256x192 70.4
pose_resnet_50_384x288 50 384x288 72.2
pose_resnet_101_256x192 101 256x192 71.4
pose_resnet_101_384x288 101 384x288 73.6
pose_resnet_152_256x192 152 256x192 72.0
pose_resnet_152_384x288 152 384x288 74.3
""",
    ),
    (
        MSRA | MPII,
        "Simple Baselines, ResNet-{}",
        """
pose_resnet_50_256x256 50 256x256 88.532
pose_resnet_50_384x384 50 384x384 89.066
pose_resnet_101_256x256 101 256x256 89.131
pose_resnet_101_384x384 101 384x384 90.003
pose_resnet_152_256x256 152 256x256 89.620
pose_resnet_152_384x384 152 384x384 90.200
""",
    ),
    (
        BASELINES_MMPOSE | COCO,
        "Simple Baselines, ResNet-{}",
        """
td-hm_res50_8xb64-210e_coco-256x192-04af38ce_20220923 50 256x192 71.8
td-hm_res50_8xb64-210e_coco-384x288-7b8db90e_20220923 50 384x288 73.1
td-hm_res101_8xb64-210e_coco-256x192-065d3625_20220926 101 256x192 72.8
td-hm_res152_8xb32-210e_coco-256x192-0345f330_20220928 152 256x192 73.6
td-hm_res152_8xb32-210e_coco-384x288-7fbb906f_20220927 152 384x288 75.0
""",
    ),
    (
        BASELINES_MMPOSE | COCO | DARK,
        "Simple Baselines, ResNet-{}",
        """
td-hm_res50_dark-8xb64-210e_coco-256x192-c129dcb6_20220926 50 256x192 72.4
td-hm_res50_dark-8xb64-210e_coco-384x288-8b90b538_20220926 50 384x288 73.5
td-hm_res101_dark-8xb64-210e_coco-256x192-528ec248_20220926 101 256x192 73.3
td-hm_res101_dark-8xb64-210e_coco-384x288-487d40a4_20220926 101 384x288 74.9
td-hm_res152_dark-8xb32-210e_coco-256x192-f754df5f_20221031 152 256x192 74.3
td-hm_res152_dark-8xb32-210e_coco-384x288-329f8454_20221031 152 384x288 75.5
""",
    ),
    (
        BASELINES_MMPOSE | MPII,
        "Simple Baselines, ResNet-{}",
        """
res50_mpii_256x256-418ffc88_20200812 50 256x256 88.2
res101_mpii_256x256-416f5d71_20200812 101 256x256 88.8
res152_mpii_256x256-3ecba29d_20200812 152 256x256 88.9
""",
    ),
    (
        CPM_MMPOSE | COCO,
        "CPM of mmpose, {} stages",
        """
td-hm_cpm_8xb64-210e_coco-256x192-0e978875_20220920 6 256x192 62.7
td-hm_cpm_8xb32-210e_coco-384x288-165487b8_20221011 6 384x288 65.2
""",
    ),
    (
        CPM_MMPOSE | MPII | {"sigma": 2.0},
        "CPM of mmpose, {} stages",
        """
cpm_mpii_368x368-116e62b8_20200822 6 368x368 87.6
""",
    ),
    (
        INTEGRAL,
        "Integral regression, ResNet-{}",
        """
ipr_res50_8xb64-210e_coco-256x256-a3898a33_20220913 50 256x256 63.3
ipr_res50_dsnt-8xb64-210e_coco-256x256-441eedc0_20220913 50 256x256 67.4
""",
    ),
    (
        DEBIASED,
        "Integral regression, ResNet-{}",
        """
ipr_res50_debias-8xb64-210e_coco-256x256-055a7699_20220913 50 256x256 67.5
""",
    ),
    (
        SPACE,
        "Integral regression in space, ResNet-{}",
        """
model_chall_train_152ft_384x288 152 384x288 -
model_chall_trainval_152ft_384x288 152 384x288 -
""",
    ),
    (
        DEEPPOSE | COCO,
        "Direct regression, ResNet-{}",
        """
td-reg_res50_8xb64-210e_coco-256x192-72ef04f3_20220913 50 256x192 54.1
deeppose_res101_coco_256x192-2f247111_20210205 101 256x192 56.2
deeppose_res152_coco_256x192-7df89a88_20210205 152 256x192 58.4
""",
    ),
    (
        DEEPPOSE | MPII,
        "Direct regression, ResNet-{}",
        """
deeppose_res50_mpii_256x256-c63cd0b6_20210203 50 256x256 82.6
deeppose_res101_mpii_256x256-87516a90_20210205 101 256x256 84.1
deeppose_res152_mpii_256x256-15f5e6f9_20210205 152 256x256 85.0
""",
    ),
    (
        HRNET | COCO,
        "HRNet-W{}",
        """
pose_hrnet_w32_256x192 32 256x192 74.4
pose_hrnet_w32_384x288 32 384x288 75.8
pose_hrnet_w48_256x192 48 256x192 75.1
pose_hrnet_w48_384x288 48 384x288 76.3
""",
    ),
    (
        HRNET | MPII,
        "HRNet-W{}",
        """
pose_hrnet_w32_256x256 32 256x256 90.3
pose_hrnet_w48_256x256 48 256x256 -
""",
    ),
    (
        HRNET_MMPOSE | COCO,
        "HRNet-W{}",
        """
td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909 32 256x192 74.9
td-hm_hrnet-w32_8xb64-210e_coco-384x288-ca5956af_20220909 32 384x288 76.1
td-hm_hrnet-w48_8xb32-210e_coco-256x192-0e67c616_20220913 48 256x192 75.6
td-hm_hrnet-w48_8xb32-210e_coco-384x288-c161b7de_20220915 48 384x288 76.7
""",
    ),
    (
        HRNET_MMPOSE | COCO | DARK,
        "HRNet-W{}",
        """
td-hm_hrnet-w32_dark-8xb64-210e_coco-256x192-0e00bf12_20220914 32 256x192 75.7
td-hm_hrnet-w32_dark-8xb64-210e_coco-384x288-9bab4c9b_20220917 32 384x288 76.6
td-hm_hrnet-w48_dark-8xb32-210e_coco-256x192-e1ebdd6f_20220913 48 256x192 76.4
td-hm_hrnet-w48_dark-8xb32-210e_coco-384x288-39c3c381_20220916 48 384x288 77.2
""",
    ),
    (
        HRNET_MMPOSE | COCO | UDP,
        "HRNet-W{}",
        """
td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192-73ede547_20220914 32 256x192 76.2
td-hm_hrnet-w32_udp-8xb64-210e_coco-384x288-9a3f7c85_20220914 32 384x288 76.8
td-hm_hrnet-w48_udp-8xb32-210e_coco-256x192-3feaef8f_20220913 48 256x192 76.8
td-hm_hrnet-w48_udp-8xb32-210e_coco-384x288-70d7ab01_20220913 48 384x288 77.3
""",
    ),
    (
        HRNET_MMPOSE | MPII,
        "HRNet-W{}",
        """
hrnet_w32_mpii_256x256-6c4f923f_20200812 32 256x256 90.0
hrnet_w48_mpii_256x256-92cab7bd_20200812 48 256x256 90.1
""",
    ),
    (
        HRNET_MMPOSE | MPII | DARK,
        "HRNet-W{}",
        """
hrnet_w32_mpii_256x256_dark-f1601c5b_20200927 32 256x256 90.4
hrnet_w48_mpii_256x256_dark-0decd39f_20200927 48 256x256 90.5
""",
    ),
    (
        COCO | CPN | {"sigma": 1.4},
        "CPN, ResNet-{}",
        """
COCO.res50.256x192.CPN 50 256x192 71.2
""",
    ),
    (
        COCO | CPN | {"sigma": 1.7},
        "CPN, ResNet-{}",
        """
COCO.res50.384x288.CPN 50 384x288 74.1
COCO.res101.384x288.CPN 101 384x288 74.0
""",
    ),
    (
        BEARPAW | {"place": "bearpaw/pytorch-pose"},
        "Hourglass, {}",
        """
hg_s2_b1/model_best 2 256x256 86.95
hg_s8_b1/model_best 8 256x256 88.78
""",
    ),
    (
        BEARPAW | {"place": "anibali/pytorch-stacked-hourglass"},
        "Hourglass, {}",
        """
bearpaw_hg1-ce125879 1 256x256 -
bearpaw_hg2-15e342d9 2 256x256 87.33
bearpaw_hg8-90e5d470 8 256x256 -
""",
    ),
    (
        PRINCETON,
        "Hourglass, {}",
        """
2hg/checkpoint 2 256x256 88.3
8hg/checkpoint 8 256x256 90.2
""",
    ),
    (
        TENSORBOY,
        "OpenPose, 19 limbs, {} stages",
        """
pose_model 6 496x496 65.3
""",
    ),
    (
        OSOKIN,
        "Lightweight OpenPose, {} stages",
        """
checkpoint_iter_370000 2 368x656 40
""",
    ),
    (
        IMAGENET | VISION,
        "ResNet-{}",
        """
resnet50-19c8e357 50 224x224 76.130
resnet101-5d3b4d8f 101 224x224 77.374
resnet152-b121ed2d 152 224x224 78.312
""",
    ),
    (
        CLASSES,
        "HRNet-W{}",
        """
hrnet_w32-36af842e 32 224x224 -
hrnet_w48-8ef0771d 48 224x224 -
""",
    ),
    (
        AUTHORS,
        "HRNet-W{}",
        """
HRNet-W18-C 18 224x224 76.8
HRNet-W30-C 30 224x224 78.2
HRNet-W32-C 32 224x224 78.5
HRNet-W40-C 40 224x224 78.9
HRNet-W44-C 44 224x224 78.9
HRNet-W48-C 48 224x224 79.3
HRNet-W64-C 64 224x224 79.5
""",
    ),
)
"""What rows share, their network, and a line for each: name, width, depth or
stacks, input, score ("-": not published)."""
