"""What keeps this node and a peer from exchanging records, and who has to mend it.

:func:`gateway.doctor.diagnose.diagnose` goes from what this node knows of the peer over name, connection, TLS
and certificate of each endpoint to a signed echo and what that shows. docs/peers.md lists steps and findings.
"""
