"""pycocotools' box metrics, as a peer to time against.

Times what a user waits for, from the files to the twelve numbers; imports are not counted. Prints one JSON document.

    python coco.py gt.json dt.json
"""
import contextlib
import io
import json
import resource
import sys
import time

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def main():
    begin = time.time()
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(sys.argv[1])
        e = COCOeval(truth, truth.loadRes(sys.argv[2]), "bbox")
        loaded = time.time()
        e.evaluate()
        e.accumulate()
        e.summarize()
    end = time.time()
    print(json.dumps({"seconds": end - begin, "seconds_reading": loaded - begin, "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                      "metrics": [float(x) for x in e.stats]}))


if __name__ == "__main__":
    main()
