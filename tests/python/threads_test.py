"""Threads and processes of Python beside a running call."""

import os
import subprocess
import sys
import threading

import numpy as np
import regard
from formula import problem


def test_other_threads_run_during_a_call():
    """With a long switch interval the interpreter's lock passes on only where it is given up."""
    arrays = problem(4096, 4096, 4, 4, 64, 64)
    regard.attention(*(a[:1] for a in arrays))  # what the first call imports gives the lock up, too
    begun, ended = threading.Event(), threading.Event()

    def work():
        begun.set()
        regard.attention(*arrays, threads=1)
        ended.set()

    worker = threading.Thread(target=work)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(100)
    try:
        worker.start()
        begun.wait()
        ended_before_us = ended.is_set()
    finally:
        sys.setswitchinterval(interval)
        worker.join()
    assert not ended_before_us


def test_calls_from_many_threads():
    problems = [problem(30 + i, 200, 4, 2, seed=i) for i in range(8)]
    expected = [regard.attention(*arrays, mask="causal") for arrays in problems]
    results = [None] * len(problems)

    def work(i):
        for _ in range(20):
            results[i] = regard.attention(*problems[i], mask="causal", threads=1 + i % 3)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(len(problems))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for result, wanted in zip(results, expected):
        np.testing.assert_array_equal(result, wanted)


FORK = """
import os, signal, threading, time, numpy as np, regard
q = np.ones((4096, 4, 64), np.float32)
few = np.ones((64, 4, 16), np.float32)
regard.attention(few, few, few, threads=3)
begun = threading.Event()
def work():
    begun.set()
    regard.attention(q, q, q, threads=1)
worker = threading.Thread(target=work)
worker.start()
begun.wait()
time.sleep(0.02)
child = os.fork()  # in the middle of work()
if child == 0:
    signal.alarm(30)
    ok = (regard.attention(few, few, few, threads=3) == 1).all()
    os._exit(0 if ok else 1)
worker.join()
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_process_forked_during_a_call_can_call():
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], check=True, timeout=120)


def test_torch_is_not_imported():
    code = ("import sys, numpy as np, regard; a = np.ones((2, 1, 4), np.float32); "
            "regard.attention(a, a, a); sys.exit('torch' in sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_an_unknown_target_is_an_error_of_the_call():
    code = ("import numpy as np, regard\na = np.ones((2, 1, 4), np.float32)\n"
            "for call in (regard.doctor, lambda: regard.attention(a, a, a)):\n"
            "    try: call()\n"
            "    except ValueError as error: assert 'abacus' in str(error), error\n"
            "    else: raise SystemExit('accepted')")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120,
                   env={**os.environ, "REGARD_TARGET": "abacus"})
