"""Wire transfer: two directors have to sign before the money leaves.

The function waits twice for a signature and does not look at who signed. A start is deduplicated by the
event's id, a wait is not: one signature that is delivered twice counts as two. The twin waits for a signature
of somebody else than the first signer.
"""

import pytest

from pytest_durable import Context, durable_function

DEVIATIONS = 1


class Bank:
    """Transfers that have left."""

    def reset(self):
        self.sent = []

    def send(self, transfer, signers):
        self.sent.append((transfer, tuple(signers)))


bank = Bank()


@pytest.fixture(autouse=True)
def fresh(durable):
    bank.reset()


@durable_function("wire-transfer", trigger="transfer/prepared")
async def transfer_bug(ctx: Context):
    transfer = ctx.event.data["transfer"]
    signers = []
    for _ in range(2):
        signed = await ctx.step.wait_for_event(
            "signature", event="transfer/signed", timeout="3d", match="data.transfer"
        )
        if signed is None:
            return {"sent": False}
        signers.append(signed.data["director"])
    await ctx.step.run("send", bank.send, transfer, signers)
    return {"sent": True}


@durable_function("wire-transfer-two-heads", trigger="transfer/prepared")
async def transfer_ok(ctx: Context):
    transfer = ctx.event.data["transfer"]
    signers = []
    condition = "event.data.transfer == async.data.transfer"
    for _ in range(2):
        signed = await ctx.step.wait_for_event("signature", event="transfer/signed", timeout="3d", if_exp=condition)
        if signed is None:
            return {"sent": False}
        signers.append(signed.data["director"])
        condition += f" && async.data.director != '{signed.data['director']}'"
    await ctx.step.run("send", bank.send, transfer, signers)
    return {"sent": True}


def needs_two_heads(durable, transfer):
    durable.start(transfer, {"transfer": "t-1"})
    durable.send("transfer/signed", {"transfer": "t-1", "director": "eva"}, at="1h")
    durable.advance("10d")
    assert bank.sent == []


@pytest.mark.durable(explore="every", faults=["duplicate_event"], max_schedules=1000)
def test_bug(durable):
    """Some schedule shows the defect."""
    needs_two_heads(durable, transfer_bug)


@pytest.mark.durable(explore="every", faults=["duplicate_event"], max_schedules=1000)
def test_ok(durable):
    """No schedule breaks the twin."""
    needs_two_heads(durable, transfer_ok)
