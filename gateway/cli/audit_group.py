"""``credit-gateway audit``: its commands, from the modules that have them."""

from gateway.cli import audit_evidence_commands, audit_trust_commands
from gateway.cli.audit_commands import audit_app

audit_app.command("export")(audit_evidence_commands.export)
audit_app.command("prove")(audit_evidence_commands.prove)
audit_app.command("disclose")(audit_evidence_commands.disclose)
audit_app.command("subject")(audit_evidence_commands.subject)
audit_app.command("erase")(audit_evidence_commands.erase)
audit_app.command("reconcile")(audit_trust_commands.reconcile)
audit_app.command("witness")(audit_trust_commands.witness)
audit_app.command("accept-rollback")(audit_trust_commands.accept_rollback_command)
