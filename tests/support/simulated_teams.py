"""Three teams that report on a game day: one in time, one late and partly wrong, one at random.

``python -m tests.support.simulated_teams FOLDER`` reads the sequence and the links from the folder
of a game day that runs, which no team can, and sends reports to its page on loopback until its end.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from randsvc.incidents.scenario import FOLDER, list_scenarios, read_scenario

HARMLESS = "none"


def read_level(name: str) -> str:
    folder = FOLDER if name in list_scenarios(FOLDER) else FOLDER / "red-herrings"
    return read_scenario(name, folder).level or HARMLESS


def plan_reports(
    sequence: list[dict[str, Any]], seed: int
) -> list[tuple[float, str, dict[str, str]]]:
    """Give the seconds after the start, the team, and level and cause of each report."""
    rng = random.Random(seed)
    planned = []
    for each in sequence:
        level, cause = read_level(each["scenario"]), each["scenario"]
        lasts = each["end"] - each["start"]
        right = {"level": level, "cause": cause}
        planned.append((each["start"] + rng.uniform(0.2, 0.4) * lasts, "team-1", right))
        late = dict(right, level=level if rng.random() < 0.5 or level == HARMLESS else "minor")
        planned.append((each["start"] + rng.uniform(0.8, 1.0) * lasts + 30, "team-2", late))
        if rng.random() < 0.5:
            wrong = {"level": "major", "cause": rng.choice(list_scenarios(FOLDER)[1:6])}
            planned.append((each["start"] + rng.uniform(0.3, 0.9) * lasts, "team-3", wrong))
    # Before the first incident: a false alarm.
    planned.append((20.0, "team-3", {"level": "critical", "cause": "auth-down"}))
    return sorted(planned, key=lambda each: each[0])


async def report(folder: Path, host: str) -> None:
    lines = [json.loads(line) for line in (folder / "gameday.jsonl").read_text().splitlines()]
    setup, started = lines[0], next(each["at"] for each in lines if each["event"] == "start")
    links: Mapping[str, str] = setup["teams"]
    async with aiohttp.ClientSession() as session:
        for seconds, team, chosen in plan_reports(setup["sequence"], setup["seed"]):
            if team not in links or seconds > setup["minutes"] * 60:
                continue
            await asyncio.sleep(max(0.0, started + seconds - time.time()))
            began = datetime.fromtimestamp(time.time() - 30, UTC)
            form = {**chosen, "began": f"{began:%H:%M:%S}", "what": f"seen by {team}"}
            async with session.post(f"{host}/teams/{links[team]}", data=form) as response:
                sys.stderr.write(f"{seconds:6.0f} s {team} {chosen} {response.status}\n")


if __name__ == "__main__":
    asyncio.run(report(Path(sys.argv[1]), sys.argv[2]))
