"""What a team would write otherwise: HTTP and JSON, signed by JWS, an ORM, one commit a request.

Usage: python -m bench.baselines.http_node ADDRESS FOLDER LEARNERS; FOLDER as in ``echo_node``. It
answers like a node as far as one can compare: mutual TLS, the signature verified, the message id checked
against replays, the learner's records read and given as JSON, the exchange written down, the answer
signed. There is no translation, no Merkle log, no receipt and no commitment.
"""

from __future__ import annotations

import json
import ssl
import sys
import uuid
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from joserfc import jws
from joserfc.jwk import OKPKey
from sqlalchemy import String, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker


class Base(DeclarativeBase):
    """The models."""


class Record(Base):
    """One record of a learner."""

    __tablename__ = "record"
    id: Mapped[int] = mapped_column(primary_key=True)
    learner: Mapped[str] = mapped_column(String, index=True)
    document: Mapped[str]


class Exchange(Base):
    """One query that was answered."""

    __tablename__ = "exchange"
    message_id: Mapped[str] = mapped_column(primary_key=True)
    request: Mapped[str]
    answer: Mapped[str]


def make_app(folder: Path, learners: int, records: list[dict[str, Any]]) -> FastAPI:
    """Return the service, its database filled with ``learners`` who have ``records`` each."""
    engine = create_engine(f"sqlite:///{folder / 'http.db'}")

    @event.listens_for(engine, "connect")
    def durable(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    Base.metadata.create_all(engine)
    make_session = sessionmaker(engine)
    with make_session.begin() as session:
        session.add_all(
            Record(learner=f"learner-{number}", document=json.dumps(record))
            for number in range(learners)
            for record in records
        )
    verifying = OKPKey.import_key((folder / "verify.pem").read_text())
    signing = OKPKey.import_key((folder / "sign.pem").read_text())
    app = FastAPI()

    @app.post("/query")
    async def query(request: Request) -> Response:
        text = (await request.body()).decode()
        query = json.loads(jws.deserialize_compact(text, verifying, algorithms=["Ed25519"]).payload)
        with make_session() as session:
            answer = _answer(session, query, text)
        signed = jws.serialize_compact({"alg": "Ed25519"}, answer, signing, algorithms=["Ed25519"])
        return Response(signed, media_type="application/jose")

    return app


def _answer(session: Session, query: dict[str, Any], text: str) -> str:
    if session.get(Exchange, query["message_id"]) is not None:
        raise ValueError("replayed")
    found = session.scalars(select(Record).where(Record.learner == query["learner"]))
    answer = json.dumps(
        {
            "message_id": str(uuid.uuid4()),
            "in_reply_to": query["message_id"],
            "records": [json.loads(record.document) for record in found],
        }
    )
    session.add(Exchange(message_id=query["message_id"], request=text, answer=answer))
    session.commit()
    return answer


def main() -> None:
    """Serve until killed."""
    address, folder, learners = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    host, port = address.rsplit(":", 1)
    records = json.loads((folder / "records.json").read_text(encoding="utf-8"))
    uvicorn.run(
        make_app(folder, learners, records),
        host=host,
        port=int(port),
        log_level="error",
        ssl_keyfile=str(folder / "leaf.key"),
        ssl_certfile=str(folder / "leaf.crt"),
        ssl_ca_certs=str(folder / "cas.pem"),
        ssl_cert_reqs=ssl.CERT_REQUIRED,
    )


if __name__ == "__main__":
    main()
