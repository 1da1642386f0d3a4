"""Signals as a shell has them in the foreground, wherever the tests are started.

A shell that starts a command in the background (`make test &`) has it ignore Ctrl-C, other starters block or ignore
more, and a process hands that on to whatever it starts: a command under test would then wait for ever for what ends it.
"""

import signal

# Python itself ignores the first two, and undoes it in what it starts; the third is what `nohup` is for.
_KEPT = {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP}


def as_in_the_foreground() -> None:
    for number in signal.valid_signals() - _KEPT:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
