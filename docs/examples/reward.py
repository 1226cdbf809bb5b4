"""A reward of one's own: the answer must be the gold, the shorter the better.  (docs/rewards.md)"""
import json, sys

for line in sys.stdin:
    sample = json.loads(line)
    answer = sample["completion"].rpartition("</think>")[2].strip()
    right = answer == sample["gold"].strip()
    verdict = {"value": max(0.5, 1 - len(sample["completion"]) / 10000) if right else 0.0}
    verdict.update(status="ok" if right else "wrong", extracted=answer)
    print(json.dumps(verdict), flush=True)
