#!/usr/bin/env python3
"""A real SMTP server (PyPI aiosmtpd) that keeps nothing and tells what it gets, one JSON object per line on stdout.

    python3 smtp_sink.py --cache target/smtp-sink [options]

First line: {"event": "ready", "port": 2525}. Then for each mail {"event": "mail", "from", "to": [...], "tls": bool,
"user": name or null, "headers": [[name, value], ...] (decoded), "raw_headers": text, "text": ..., "html": ...}, as
Python's own parser reads it.

It ends when its standard input is closed. Where aiosmtpd is not installed, it is installed into a virtual environment
below --cache, once; where that cannot be done, the exit code is 77 and a line `SKIP: ...` says why.
"""

import argparse
import asyncio
import email
import email.policy
import fcntl
import json
import logging
import os
import ssl
import subprocess
import sys
import threading
import warnings

VERSION = "1.4.6"
SKIPPED = 77


def install(cache):
    """Runs this script again with a Python that has aiosmtpd."""
    if os.environ.get("SMTP_SINK_INSTALLED"):
        print("SKIP: aiosmtpd was installed but cannot be imported", flush=True)
        sys.exit(SKIPPED)
    os.makedirs(cache, exist_ok=True)
    venv = os.path.join(os.path.abspath(cache), "venv-" + VERSION)
    python = os.path.join(venv, "bin", "python")
    marker = os.path.join(venv, "complete")
    with open(os.path.join(cache, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(marker):
            steps = [
                [sys.executable, "-m", "venv", "--clear", venv],
                [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "aiosmtpd==" + VERSION],
            ]
            for step in steps:
                try:
                    done = subprocess.run(step, capture_output=True, text=True, timeout=300)
                    fault = done.stderr.strip() if done.returncode else None
                except (OSError, subprocess.TimeoutExpired) as error:
                    fault = str(error)
                if fault is not None:
                    last = fault.splitlines()[-1] if fault else "no reason given"
                    print("SKIP: aiosmtpd cannot be had: " + last, flush=True)
                    sys.exit(SKIPPED)
            open(marker, "w").close()
    os.environ["SMTP_SINK_INSTALLED"] = "1"
    os.execv(python, [python, os.path.abspath(__file__)] + sys.argv[1:])


def tell(**event):
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def part(message, kind):
    found = message.get_body(preferencelist=(kind,))
    return found.get_content() if found is not None else None


class Handler:
    def __init__(self, options):
        self.refusals = dict(refusal.split("=", 1) for refusal in options.refuse_rcpt)
        self.data_answers = list(options.data_answer)

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.data_answers:
            answer = self.data_answers.pop(0)
            tell(event="refused", answer=answer)
            return answer
        content = envelope.content
        message = email.message_from_bytes(content, policy=email.policy.default)
        user = session.auth_data
        tell(
            event="mail",
            **{"from": envelope.mail_from},
            to=envelope.rcpt_tos,
            tls=server.transport.get_extra_info("ssl_object") is not None,
            user=user if isinstance(user, str) else None,
            headers=[[name, str(value)] for name, value in message.items()],
            raw_headers=content.split(b"\r\n\r\n", 1)[0].decode("utf-8", "replace"),
            text=part(message, "plain"),
            html=part(message, "html"),
            kind=message.get_content_type(),
            parts=[inner.get_content_type() for inner in message.iter_parts()],
        )
        return "250 taken over"


def authenticator(expected):
    def check(server, session, envelope, mechanism, data):
        from aiosmtpd.smtp import AuthResult, LoginPassword

        good = isinstance(data, LoginPassword) and (data.login + b":" + data.password).decode() == expected
        return AuthResult(success=good, handled=False, auth_data=data.login.decode() if good else None)

    return check


async def serve(options):
    from aiosmtpd.smtp import SMTP

    loop = asyncio.get_running_loop()
    context = None
    if options.tls != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.cert, options.key)
    handler = Handler(options)

    def connection():
        return SMTP(
            handler,
            hostname="sink.example.org",
            enable_SMTPUTF8=True,
            tls_context=context if options.tls in ("starttls", "starttls-required") else None,
            require_starttls=options.tls == "starttls-required",
            auth_required=options.auth is not None,
            auth_require_tls=False,
            auth_exclude_mechanism=options.without_auth,
            authenticator=authenticator(options.auth) if options.auth else None,
            loop=loop,
        )

    class Silence(asyncio.Protocol):
        pass

    protocol = Silence if options.hang else connection
    implicit = context if options.tls == "implicit" else None
    server = await loop.create_server(protocol, options.host, options.port, ssl=implicit)
    tell(event="ready", port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


def end_with_parent():
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", default="target/smtp-sink", help="where aiosmtpd is installed to if it is missing")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--tls", choices=["none", "starttls", "starttls-required", "implicit"], default="none")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--auth", help="user:password; mails are refused without")
    parser.add_argument("--without-auth", action="append", default=[], help="a mechanism not to offer (PLAIN, LOGIN)")
    parser.add_argument("--refuse-rcpt", action="append", default=[], help='"ADDRESS=550 no such user"')
    parser.add_argument("--data-answer", action="append", default=[], help='"451 try later": for the first mails')
    parser.add_argument("--hang", action="store_true", help="take connections and say nothing")
    options = parser.parse_args()
    try:
        import aiosmtpd  # noqa: F401
    except ImportError:
        install(options.cache)
    # What clients do wrong here, they do on purpose.
    warnings.simplefilter("ignore")
    logging.getLogger("mail").setLevel(logging.CRITICAL + 1)
    threading.Thread(target=end_with_parent, daemon=True).start()
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
