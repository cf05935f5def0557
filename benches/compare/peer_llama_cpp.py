"""llama.cpp, through llama-cpp-python, on a GGUF file: tokens per second as JSON. Arguments: FILE PROMPT BEFORE GENERATE."""

import json
import os
import sys
import time

from llama_cpp import Llama

path, prompt, before, generate = sys.argv[1], *map(int, sys.argv[2:])
threads = len(os.sched_getaffinity(0))
model = Llama(path, n_ctx=4096, n_threads=threads, n_threads_batch=threads, n_batch=512, verbose=False)
text = lambda count: [300 + at * 37 % 20_000 for at in range(count)]

model.eval(text(prompt))
model.reset()
begin = time.perf_counter()
model.eval(text(prompt))
prefill = prompt / (time.perf_counter() - begin)

model.reset()
model.eval(text(before))
token = model.sample(temp=0.0)
begin = time.perf_counter()
for _ in range(generate):
    model.eval([token])
    token = model.sample(temp=0.0)
print(json.dumps({"prefill": prefill, "decode": generate / (time.perf_counter() - begin)}))
