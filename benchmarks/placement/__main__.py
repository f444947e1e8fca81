"""`python -m benchmarks.placement`: how often the plan is right, and what not knowing costs.

For each box (cores, GPUs, their speeds) and each study (networks, rows, epochs, trials) a search
whose slots are planned while it runs is compared with

- the three choices of kinds (cores alone, GPUs alone, both), each made by who knows all seconds:
  the kinds were chosen **right** where theirs is at most 5 % after the best, and the whole plan is
  **right** where it ends so itself. Both kinds are shared out
  by the same rules, and trials come in the same order, as they do for the plan.
- the kind alone that is better, which is what `--devices cpu` or `gpu` would have given;
- the best of some 60 sharings by somebody who sees every trial's seconds beforehand.

What it **costs** is the time lost against the best choice, and the computing. No trial is trained:
executors pretend the speeds, on a clock of their own. What pretends nothing is the code that plans.
Rules are made while looking at the boxes from 0 on; what is written down is of boxes from 3000 on.
"""

from __future__ import annotations

import argparse
import json
import statistics
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial

from benchmarks.placement.outcome import SHORTEST_S, outcome_of, table


def main() -> None:
    """Print the table, and one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boxes", type=int, default=300)
    parser.add_argument("--first", type=int, default=3000, help="seed of the first box")
    parser.add_argument(
        "--shortest", type=float, default=SHORTEST_S, help="seconds of the shortest search"
    )
    parser.add_argument(
        "--again", action="store_true", help="of a second search of each study on its box"
    )
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()

    seeds = range(arguments.first, arguments.first + arguments.boxes)
    measure = partial(outcome_of, shortest_s=arguments.shortest, again=arguments.again)
    outcomes = []
    with ProcessPoolExecutor(arguments.processes) as pool:
        for seed, outcome in zip(seeds, pool.map(measure, seeds), strict=True):
            ratio = outcome.planned_s / outcome.best_s
            print(seed, f"{ratio:.3f}", json.dumps(asdict(outcome)), flush=True)
            outcomes.append(outcome)
    print(table(outcomes))
    figures = {
        "boxes": len(outcomes),
        "right_kinds": statistics.mean(each.chosen for each in outcomes),
        "right": statistics.mean(each.right for each in outcomes),
        "cost": statistics.mean(each.cost for each in outcomes),
        "computing": statistics.mean(each.planning_s / each.planned_s for each in outcomes),
        "most_computing": max(each.planning_s / each.planned_s for each in outcomes),
        "moved": sum(each.n_moved for each in outcomes),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
