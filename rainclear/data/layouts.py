"""The data sets that can be read: how each lies on disk, whose it is, and what one may do with it.

Trees were taken from the authors' own loaders and readmes where those are public; ``docs/datasets``
says for each set where from, and what is assumed.
"""

from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from rainclear.errors import ConfigError, InputError

__all__ = ["LAYOUTS", "Layout", "find_layout", "wrong_folder"]

_ASK = "no licence stated: research use; ask the authors before shipping weights trained on it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A data set as it lies on disk.

    Attributes:
        kind: Short name, as the command line takes it.
        title: Name in full, with what it holds.
        tree: The folders and files expected below the root, a line each.
        citation: Who made it, and where it was published.
        licence: What is known about its licence.
        clips: Whether it holds clips rather than pairs.
        splits: Names of its parts.
    """

    kind: str
    title: str
    tree: str
    citation: str
    licence: str = _ASK
    clips: bool = False
    splits: tuple[str, ...] = ("train", "test")


_JORDER = "Yang et al., Deep Joint Rain Detection and Removal from a Single Image, CVPR 2017"
_RAIN100 = """\
rain_data_{split}_{word}/norain/norain-1.png
rain_data_{split}_{word}/rain/X2/norain-1x2.png  or rain/norain-1x2.png
or  {train}/norain-001.png with rain-001.png beside it or in rainy/   ({test}/ for test)
or  {{train,test}}/{{rainy,norain}}/  or  {{train,test}}/{{input,target}}/, same names"""
_QUADRUPLE = """\
RainDS_{0}/{1}/gt/{2}
RainDS_{0}/{1}/raindrop/{3}
RainDS_{0}/{1}/rainstreak/{4}
RainDS_{0}/{1}/rainstreak_raindrop/{5}"""
_RAINDS = "Quan et al., Removing Raindrops and Rain Streaks in One Go, CVPR 2021"


def _rain100(word: str, letter: str) -> str:
    return _RAIN100.format(
        split="{train,test}", word=word, train=f"RainTrain{letter}", test=f"Rain100{letter}"
    )


_ALL = (
    Layout(
        kind="folders",
        title="any two folders of pictures with the same names",
        tree="[train/ or test/]\n{rain,rainy,input}/NAME.png\n{clean,norain,target,gt}/NAME.png",
        citation="–",
        licence="that of the pictures",
    ),
    Layout(
        kind="rain100l", title="Rain100L, light streaks", tree=_rain100("Light", "L"),
        citation=_JORDER,
    ),
    Layout(
        kind="rain100h", title="Rain100H, heavy streaks", tree=_rain100("Heavy", "H"),
        citation=_JORDER,
    ),
    Layout(
        kind="rain800",
        title="Rain800, streaks: 700 + 100 pairs side by side",
        tree="training/1.jpg   (clean | rainy)\ntest_syn/1.jpg",
        citation="Zhang et al., Image De-raining Using a Conditional GAN, TCSVT 2019",
    ),
    Layout(
        kind="rain1200",
        title="Rain1200 (DID-MDN), streaks of three densities: 12,000 + 1,200 side by side",
        tree="DID-MDN-training/Rain_{Heavy,Medium,Light}/train2018new/1.jpg   (rainy | clean)\n"
        "DID-MDN-test/1.jpg",
        citation="Zhang and Patel, Density-aware Single Image De-raining, CVPR 2018",
    ),
    Layout(
        kind="rain1400",
        title="Rain1400 (DDN), 14 streak pictures of each of 900 + 100 scenes",
        tree="training/rainy_image/1_14.jpg\ntraining/ground_truth/1.jpg\ntesting/…",
        citation="Fu et al., Removing Rain from Single Images via a Deep Detail Network, CVPR 2017",
    ),
    Layout(
        kind="spa",
        title="SPA-Data, real streaks with a truth made from video",
        tree="Training/real_world.txt   (a line: RAINY CLEAN, relative to the list)\n"
        "Training/real_world/000/000-1/000-1_0_0.png\n"
        "Testing/real_test_1000.txt  or  Testing/real_test_1000/{rain/000.png,gt/000gt.png}",
        citation="Wang et al., Spatial Attentive Single-Image Deraining, CVPR 2019",
        licence="License.txt of the authors' repository",
    ),
    Layout(
        kind="raindrop",
        title="Raindrop, real drops on glass: 861 + 58 (test_a, aligned), 239 (test_b)",
        tree="train/data/0_rain.png\ntrain/gt/0_clean.png\ntest_a/…\ntest_b/…",
        citation="Qian et al., Attentive GAN for Raindrop Removal, CVPR 2018",
        splits=("train", "test", "test_b"),
    ),
    Layout(
        kind="rainds-syn",
        title="RainDS_syn, generated drops, streaks and both over each scene",
        tree=_QUADRUPLE.format(
            "syn", "{train,test}", "norain-1.png", "rd-1.png", "rain-1.png", "rd-rain-1.png"
        ),
        citation=_RAINDS,
    ),
    Layout(
        kind="rainds-real",
        title="RainDS_real, real drops, sprinkled streaks and both over each scene",
        tree=_QUADRUPLE.format("real", "{train_set,test_set}", *["2.png"] * 4),
        citation=_RAINDS,
    ),
    Layout(
        kind="raindrop-clarity",
        title="Raindrop Clarity, real drops by day and night, camera focused on either plane",
        tree="{Day,Night}RainDrop_{Train,Test}/Drop/00001/00001.png\n"
        "{Day,Night}RainDrop_{Train,Test}/Clear/00001/00001.png\n"
        "{Day,Night}RainDrop_{Train,Test}/Blur/…   (not read)",
        citation="Jin et al., Raindrop Clarity, ECCV 2024",
        licence="MIT for academic and other non-commercial use",
    ),
    Layout(
        kind="raincityscapes",
        title="RainCityscapes, rain and fog rendered with depth, 36 variants a scene",
        tree="leftImg8bit_rain/train/CITY/SCENE_leftImg8bit_rain_alpha_…_pattern_1.png\n"
        "leftImg8bit/train/CITY/SCENE_leftImg8bit.png   (val/ for test)\n"
        "or  {train,test}/SCENE_rain_alpha_….png  and  image/SCENE_leftImg8bit.png",
        citation="Hu et al., Depth-Attentional Features for Single-Image Rain Removal, CVPR 2019",
        licence="Cityscapes licence: non-commercial",
    ),
    Layout(
        kind="dprrn",
        title="DPRRN, drops seen by a dual-pixel sensor; split real: the real test set",
        tree="Synthetic_Raindrop_Dataset/{train,test}/dp_rainy/1_{C,L,R}.png\n"
        "Synthetic_Raindrop_Dataset/{train,test}/dp_gt/1_GT_{C,L,R}.png\n"
        "Real_World_Dataset/test/dp_rainy/1_{C,L,R}.png  and  dp_gt/1_GT.png\n"
        "or  [{train,test,real}/]{left,right,gt}/1.png, and mask/ and rainy/ where there are any",
        citation="Li, Monno and Okutomi, Dual-Pixel Raindrop Removal, BMVC 2022, TPAMI 2024",
        splits=("train", "test", "real"),
    ),
    Layout(
        kind="jrsrd",
        title="JRSRD, Raindrop pictures with four levels of streaks each",
        tree="train/joint/0_1.png … 0_4.png\ntrain/streak/0_1.png … 0_4.png\n"
        "train/drop/0.png\ntrain/clean/0.png\ntest/…\n(made by: rainclear data jrsrd)",
        citation="the D-DAiAM paper, Sec. 4.4; pictures of Qian et al., CVPR 2018",
        licence="that of Raindrop",
    ),
    Layout(
        kind="nturain",
        title="NTURain, streaks over driving and hand-held video",
        tree="Dataset_Training_Synthetic/t1_Rain_01/00001.jpg\n"
        "Dataset_Training_Synthetic/t1_GT/00001.jpg\n"
        "Dataset_Testing_Synthetic/a1_Rain/00001.jpg\nDataset_Testing_Synthetic/a1_GT/00001.jpg",
        citation="Chen et al., Robust Video Content Alignment and Compensation, CVPR 2018",
        clips=True,
    ),
    Layout(
        kind="vrds",
        title="VRDS, drops and streaks over 102 driving videos",
        tree="[train/]lq/CLIP/00000000.png\n[train/]gt/CLIP/00000000.png\n"
        "[train/]{drop,mstreak,01drop}/CLIP/…   (where there are any)\n"
        "testlq/, testgt/  or  test/lq/, test/gt/",
        citation="Wu et al., Mask-Guided Progressive Network (ViMP-Net), ACM MM 2023",
        clips=True,
    ),
    Layout(
        kind="lwdds",
        title="LWDDS, drops on the windscreen over driving video",
        tree="train_vid/rainy_vid/CLIP/1.png\ntrain_vid/clean_vid/CLIP/1.png\n"
        "train_vid/{rainy_mask,rainy_vid_blur,rainy_mask_blur}/CLIP/…   (where there are any)\n"
        "syn/rainy_vid/CLIP/1.png, syn/clean_vid/CLIP/1.png   (test)",
        citation="Wen, Wu and Chen, Video Waterdrop Removal in Driving Scenes, ICRA 2023",
        clips=True,
    ),
)  # fmt: skip

LAYOUTS: dict[str, Layout] = {layout.kind: layout for layout in _ALL}
"""All data sets by kind."""


def find_layout(kind: str, split: str | None = None) -> Layout:
    """The data set of that kind; with ``split`` it must have one of that name.

    Raises:
        ConfigError: There is no such kind, or it has no such split.
    """
    if kind not in LAYOUTS:
        raise ConfigError(f"no kind of data set named {kind!r}; there are: {', '.join(LAYOUTS)}")
    layout = LAYOUTS[kind]
    if split is not None and split not in layout.splits:
        raise ConfigError(f"{kind} has no split {split!r}; it has: {', '.join(layout.splits)}")
    return layout


def wrong_folder(root: Path, layout: Layout, split: str | None = None) -> InputError:
    """The error for a folder that does not hold the data set: what was expected, what is there."""
    if not root.is_dir():
        return InputError(f"{root}: no such folder")
    part = f"{split} split of " if split else ""
    entries = sorted(p.name + "/" * p.is_dir() for p in root.iterdir())
    shown = ", ".join(entries[:8]) or "nothing"
    more = f" and {len(entries) - 8} more" if len(entries) > 8 else ""
    return InputError(
        f"{root}: holds no {part}{layout.kind}. Expected there:\n"
        f"{indent(layout.tree, '  · ')}\n  · found instead: {shown}{more}"
    )
