"""transformers on a GGUF file, its weights widened to bfloat16: tokens per second as JSON. Arguments: FILE PROMPT BEFORE GENERATE."""

import json
import os
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

path, (prompt, before, generate) = Path(sys.argv[1]), map(int, sys.argv[2:])
torch.set_num_threads(len(os.sched_getaffinity(0)))
model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.bfloat16)
text = lambda count: torch.tensor([[300 + at * 37 % 20_000 for at in range(count)]])

with torch.inference_mode():
    # Only the last token's logits, as everybody else computes them.
    model(text(prompt), logits_to_keep=1)
    begin = time.perf_counter()
    model(text(prompt), logits_to_keep=1)
    prefill = prompt / (time.perf_counter() - begin)

    state = model(text(before), use_cache=True, logits_to_keep=1)
    begin = time.perf_counter()
    for _ in range(generate):
        token = state.logits[:, -1:].argmax(-1)
        state = model(token, past_key_values=state.past_key_values, use_cache=True)
print(json.dumps({"prefill": prefill, "decode": generate / (time.perf_counter() - begin)}))
