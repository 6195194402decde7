"""Order one image and wait for it: what a shop's backend does, as a script.

    python examples/enqueue.py --image URL --mask URL --prompt "on soft pale yellow silk" --sku PERF-50

It needs SCENESHIFT_REDIS_URL, and workers that use the same server.
"""

from __future__ import annotations

import argparse
import sys

from sceneshift import JobError, JobTimeoutError, SceneshiftError, enqueue_job


def arguments() -> argparse.Namespace:
    """The order, as it was typed."""
    parser = argparse.ArgumentParser(description="Order one image and wait for it.")
    parser.add_argument("--image", required=True, help="URL of the product photo")
    parser.add_argument("--mask", required=True, help="URL of its mask, of the same size")
    parser.add_argument("--prompt", required=True, help="the new background, at most 500 characters")
    parser.add_argument("--images", type=int, default=1, help="how many, 1 to 4; each costs (default: 1)")
    parser.add_argument("--sku", help="your product's name")
    parser.add_argument("--key", help="idempotency key: the same key again is the same job, and is paid once")
    parser.add_argument("--timeout", type=float, default=300, help="seconds to wait (default: 300)")
    return parser.parse_args()


def main() -> int:
    """The images' places are on standard output; everything else is on standard error."""
    order = arguments()
    try:
        job = enqueue_job(
            image=order.image,
            mask=order.mask,
            positive_prompt=order.prompt,
            num_output=order.images,
            sku=order.sku,
            idempotency_key=order.key,
        )
        print(f"{job.id} ({'ordered' if job.created else 'was ordered before'})", file=sys.stderr)
        result = job.result(timeout=order.timeout)
    except JobTimeoutError as error:
        print(f"{error}\nsceneshift jobs watch {error.job_id}", file=sys.stderr)
        return 1
    except JobError as error:
        print(f"{error}: {error.charged}", file=sys.stderr)
        return 1
    except SceneshiftError as error:
        print(error, file=sys.stderr)
        return 1
    for output in result.outputs:
        print(output.uri)
    for missing in result.missing:
        print(f"image {missing.index} is missing: {missing.message} ({missing.code})", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
