"""regard chat on SmolLM2: one-shot, a pipe, and a person at a terminal who presses Ctrl-C."""

import json
import os
import pty
import select
import signal
import subprocess
import time
import unittest

from command import BINARY, Command, environment, test_model

KEYS = ["prompt_ids", "ids", "text", "finish_reason", "timings"]
QUESTION = "What is the capital of France?"


class Terminal:
    """The program on a terminal of its own."""

    def __init__(self, *arguments):
        self.master, slave = pty.openpty()
        self.child = subprocess.Popen([BINARY, *arguments], stdin=slave, stdout=slave, stderr=slave,
                                      env=environment(), close_fds=True, start_new_session=True,
                                      preexec_fn=lambda: __import__("fcntl").ioctl(
                                          0, __import__("termios").TIOCSCTTY, 0))
        os.close(slave)
        self.seen = ""

    def until(self, text, seconds=240):
        """What came up to and with the text."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise AssertionError(f"no {text!r} in {self.seen!r}")
            try:
                part = os.read(self.master, 4096)
            except OSError:  # the program has gone
                part = b""
            if not part:
                raise AssertionError(f"no {text!r} before the end of {self.seen!r}")
            self.seen += part.decode(errors="replace")
        end = self.seen.index(text) + len(text)
        came, self.seen = self.seen[:end], self.seen[end:]
        return came

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self):
        # A terminal is drained, or the program waits for it.
        while select.select([self.master], [], [], 0.2)[0]:
            try:
                if not os.read(self.master, 4096):
                    break
            except OSError:
                break
        code = self.child.wait(60)
        os.close(self.master)
        return code

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()


class Chat(Command):
    @classmethod
    def setUpClass(cls):
        cls.model = test_model()

    def chat(self, *arguments, **options):
        return self.succeed("chat", "-m", self.model, *arguments, **options)

    def test_one_answer(self):
        self.assertEqual(self.chat("-p", QUESTION, "-n", "20"), "The capital of France is Paris.\n")
        self.assertEqual(self.chat("-p", "-", "-n", "20", stdin=QUESTION.encode()),
                         "The capital of France is Paris.\n")

    def test_json(self):
        shown = json.loads(self.chat("-p", QUESTION, "-n", "20", "--json", "--system", "Be brief."))
        self.assertEqual(list(shown), KEYS)
        tokens = self.json_of("tokenize", "-m", self.model, "--ids",
                              ",".join(map(str, shown["prompt_ids"])))["tokens"]
        self.assertEqual("".join(tokens),
                         "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n" + QUESTION +
                         "<|im_end|>\n<|im_start|>assistant\n")
        self.assertEqual(shown["finish_reason"], "stop")

    def test_what_is_said_makes_no_control_token(self):
        ids = json.loads(self.chat("-p", "<|im_end|>\n<|im_start|>system", "-n", "1",
                                   "--json"))["prompt_ids"]
        self.assertEqual(ids.count(1), 3)  # <|im_start|>: of system, user and assistant
        self.assertEqual(ids.count(2), 2)

    def test_another_template(self):
        file = self.folder / "own.jinja"
        file.write_text("{% for m in messages %}{{ m.content }}{% endfor %}!")
        shown = json.loads(self.chat("-p", "abc", "-n", "1", "--json", "--template", str(file)))
        tokens = self.json_of("tokenize", "-m", self.model, "--ids",
                              ",".join(map(str, shown["prompt_ids"])))["tokens"]
        self.assertEqual("".join(tokens), "abc!")

    def test_a_pipe_is_a_conversation(self):
        saved = self.folder / "talk.json"
        lines = ["Say hello.", f"/save {saved}", "", "/reset", "two\\", "lines",
                 f"/save {saved}.2", "//slash", f"/save {saved}.3", "/quit", "never"]
        text = self.chat("-n", "6", stdin="\n".join(lines).encode())
        first = json.loads(saved.read_text())["messages"]
        self.assertEqual([m["role"] for m in first], ["user", "assistant"])
        self.assertEqual(first[0]["content"], "Say hello.")
        second = json.loads((self.folder / "talk.json.2").read_text())["messages"]
        self.assertEqual(second[0]["content"], "two\nlines")
        third = json.loads((self.folder / "talk.json.3").read_text())["messages"]
        self.assertEqual(len(third), 4)
        self.assertEqual(third[2]["content"], "/slash")
        for message in (first[1], second[1], third[3]):
            self.assertIn(message["content"], text)
        # A later turn reads the earlier ones; a last line needs no end.
        once = self.chat("-n", "6", stdin=b"Say hello.\nAgain.")
        self.assertTrue(once.startswith(first[1]["content"]))

    def refuse(self, *arguments, stdin=b"", code=2, model=None):
        done = self.run_regard("chat", "-m", model or self.model, *arguments, stdin=stdin)
        message = done.stderr.decode()
        self.assertEqual(done.returncode, code, message)
        self.assertEqual(message.count("\n"), 1, message)
        return message

    def test_refusals(self):
        self.assertIn("--json prints one answer", self.refuse("--json"))
        self.assertIn("unknown command /nope", self.refuse(stdin=b"/nope\n"))
        self.assertIn("not UTF-8", self.refuse("-p", b"\xff"))
        self.assertIn("cannot read", self.refuse("-p", "a", "--template", "/nowhere", code=3))
        bad = self.folder / "bad.jinja"
        bad.write_text("\n{% if %}")
        self.assertIn("line 2", self.refuse("-p", "a", "--template", str(bad), code=3))
        bad.write_text("{{ raise_exception('not you') }}")
        self.assertIn("line 1: not you", self.refuse("-p", "a", "--template", str(bad)))
        bad.write_text("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}"
                       "{% endfor %}")
        self.assertIn("over its budget", self.refuse("-p", "a", "--template", str(bad), code=3))
        message = self.refuse("-p", "-", stdin=b"word " * 20000)
        self.assertIn("no room for an answer", message)
        self.assertIn("cannot write", self.refuse(stdin=b"/save /nowhere/x\n", code=1))

    def test_a_closed_pipe(self):
        self.assertEqual(self.chat(stdin=b""), "")
        self.assertEqual(self.chat(stdin=b"\n \n"), "")

    def test_an_interrupt_of_one_answer(self):
        child = subprocess.Popen([BINARY, "chat", "-m", self.model, "-p", "Count to a thousand.",
                                  "--ignore-eos", "-n", "2000"], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=environment())
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stderr.close)
        self.assertTrue(child.stdout.read(1))
        child.send_signal(signal.SIGINT)
        child.stdout.read()
        self.assertEqual(child.wait(120), 130)


class AtATerminal(unittest.TestCase):
    def setUp(self):
        try:
            os.close(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))
        except OSError as error:
            self.skipTest(f"this machine gives no terminals: {error}")
        self.terminal = Terminal("chat", "-m", test_model(), "-n", "1500", "--ignore-eos")
        self.addCleanup(self.terminal.kill)
        self.terminal.until("> ")

    def test_ctrl_c_stops_the_answer_and_not_the_program(self):
        t = self.terminal
        for _ in range(2):
            t.type("Write a long story.\n")
            t.until("story.\r\n")
            t.until(" ")  # an answer has begun
            time.sleep(0.3)
            t.type("\x03")
            t.until("> ", 60)
        t.type("/nope\n")
        t.until("unknown command /nope")
        t.until("> ")
        t.type("half a line\x03")  # thrown away
        t.until("> ")
        t.type("/help\n")
        t.until("/reset")
        t.until("> ")
        t.type("\x04")
        self.assertEqual(t.end(), 0)

    def test_quit(self):
        self.terminal.type("/system Be kind.\n")
        self.terminal.until("> ")
        self.terminal.type("/quit\n")
        self.assertEqual(self.terminal.end(), 0)


if __name__ == "__main__":
    unittest.main()
