"""The figures that the D-DAiAM paper prints in Tables 4 to 7, as data.

Zhang, Li, Luo, Ren: *Dual Attention-in-Attention Model for Joint Rain Streak and Raindrop Removal*,
IEEE Transactions on Image Processing 30, 2021. PSNR in dB; the paper does not say whether PSNR and
SSIM are those of RGB or of luma.
"""

from dataclasses import dataclass

from rainclear.data.experiment import RainKind
from rainclear.errors import ConfigError

__all__ = ["TABLES", "PaperRow", "PaperTable", "find_table"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperRow:
    """One row of a table.

    Attributes:
        method: Name as the paper prints it.
        psnr: PSNR in dB.
        ssim: SSIM.
        model: Our recipe of that network, or ``None`` for other people's methods.
        parameters: Parameters in millions, where the table has them.
        operations: "FLOPs" as printed, in 10¹¹ (multiply-adds of one pass).
        seconds: Inference time as printed.
    """

    method: str
    psnr: float
    ssim: float
    model: str | None = None
    parameters: float | None = None
    operations: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperTable:
    """One table.

    Attributes:
        name: ``table4`` to ``table7``.
        title: What it compares.
        data: The data set, as the paper calls it.
        kind: The rain in it.
        rows: Its rows, in the paper's order.
    """

    name: str
    title: str
    data: str
    kind: RainKind
    rows: tuple[PaperRow, ...]

    @property
    def ours(self) -> tuple[PaperRow, ...]:
        """The rows that there is a recipe for."""
        return tuple(row for row in self.rows if row.model is not None)


_DAIAM = PaperRow(
    method="DAiAM",
    psnr=24.67,
    ssim=0.819,
    model="daiam",
    parameters=3.60,
    operations=8.90,
    seconds=0.13,
)
_D_DAIAM = PaperRow(
    method="D-DAiAM",
    psnr=25.26,
    ssim=0.825,
    model="d-daiam",
    parameters=7.20,
    operations=17.8,
    seconds=0.28,
)

_ALL = (
    PaperTable(
        name="table4",
        title="Model structures on heavy rain streaks",
        data="Rain100H",
        kind="streaks",
        rows=(
            PaperRow(method="GMM", psnr=15.05, ssim=0.425),
            PaperRow(method="DDN", psnr=21.92, ssim=0.764),
            PaperRow(method="RGN", psnr=25.25, ssim=0.841),
            PaperRow(method="JORDER", psnr=26.54, ssim=0.835),
            PaperRow(method="RESCAN", psnr=28.88, ssim=0.866),
            PaperRow(method="PReNet", psnr=29.46, ssim=0.899),
            PaperRow(method="DAM", psnr=29.99, ssim=0.905, model="dam"),
            PaperRow(method="D-DAM", psnr=30.35, ssim=0.907, model="d-dam"),
        ),
    ),
    PaperTable(
        name="table5",
        title="Model structures on raindrops",
        data="Raindrop",
        kind="drops",
        rows=(
            PaperRow(method="DID-MDN", psnr=24.76, ssim=0.7930),
            PaperRow(method="DDN", psnr=25.23, ssim=0.8366),
            PaperRow(method="JORDER", psnr=27.52, ssim=0.8239),
            PaperRow(method="Qian et al.", psnr=30.55, ssim=0.9023),
            PaperRow(method="Quan et al.", psnr=30.86, ssim=0.9263),
            PaperRow(method="Hao et al.", psnr=30.17, ssim=0.9128),
            PaperRow(method="DAM", psnr=30.26, ssim=0.9137, model="dam"),
            PaperRow(method="D-DAM", psnr=30.63, ssim=0.9268, model="d-dam"),
        ),
    ),
    PaperTable(
        name="table6",
        title="Parameters and multiply-adds on joint rain",
        data="JRSRD",
        kind="joint",
        rows=(
            PaperRow(
                method="RESCAN",
                psnr=21.05,
                ssim=0.768,
                parameters=0.15,
                operations=2.46,
                seconds=0.07,
            ),
            PaperRow(
                method="PReNet",
                psnr=23.29,
                ssim=0.789,
                parameters=0.17,
                operations=3.37,
                seconds=0.10,
            ),
            PaperRow(
                method="Qian et al.",
                psnr=22.49,
                ssim=0.772,
                parameters=6.00,
                operations=6.83,
                seconds=0.13,
            ),
            PaperRow(
                method="Qian et al. + PReNet",
                psnr=23.89,
                ssim=0.796,
                parameters=6.17,
                operations=10.2,
                seconds=0.23,
            ),
            PaperRow(
                method="PReNet + Qian et al.",
                psnr=23.68,
                ssim=0.793,
                parameters=6.17,
                operations=10.2,
                seconds=0.23,
            ),
            _DAIAM,
            _D_DAIAM,
        ),
    ),
    PaperTable(
        name="table7",
        title="Ablation on joint rain",
        data="JRSRD",
        kind="joint",
        rows=(
            PaperRow(method="DAM(zero)", psnr=21.97, ssim=0.729, model="dam-zero"),
            PaperRow(method="DAM(odd)", psnr=23.41, ssim=0.791, model="dam-odd"),
            PaperRow(method="DAM(dual)", psnr=24.15, ssim=0.806, model="dam"),
            PaperRow(method="DAiAM", psnr=24.67, ssim=0.819, model="daiam"),
            PaperRow(method="DAiAM-DAiAM", psnr=24.84, ssim=0.823, model="daiam-daiam"),
            PaperRow(method="D-DAiAM", psnr=25.26, ssim=0.825, model="d-daiam"),
            PaperRow(method="D-DAiAM(3)", psnr=25.68, ssim=0.833, model="d-daiam-3"),
        ),
    ),
)

TABLES = {table.name: table for table in _ALL}
"""The tables by name."""


def find_table(name: str) -> PaperTable:
    """A table by its name.

    Raises:
        ConfigError: There is no such table.
    """
    if name not in TABLES:
        raise ConfigError(f"no table named {name!r}; there are: {', '.join(TABLES)}")
    return TABLES[name]
