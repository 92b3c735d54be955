"""What deraining does to a detector's mAP on a labelled data set, by ultralytics' own validation.

Usage: python examples/detect_val.py DATA.yaml YOLO.pt
"""

import sys

from rainclear.detection import DerainValidator, load_yolo


def main(data: str, weights: str) -> float:
    """Print mAP50-95 with and without deraining; returns the gain."""
    options = {"data": data, "plots": False, "verbose": False, "save_dir": "val"}
    rainy = load_yolo(weights).val(**options)
    derained = load_yolo(weights).val(validator=DerainValidator, **options)
    dry = sum(not reading.open for reading in derained.readings.values())
    print(f"mAP50-95 {rainy.box.map:.3f} rainy, {derained.box.map:.3f} derained")
    print(f"{dry} of {len(derained.readings)} pictures passed the rain gate as dry")
    return derained.box.map - rainy.box.map


if __name__ == "__main__":
    main(*sys.argv[1:])
