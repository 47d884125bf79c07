"""What leaves the gateway for good: credentials, transcripts and tables that other people's tools verify.

Every writer takes plain things (an ``Archive`` of :mod:`gateway.exchange`) and returns bytes; keys, the
store and the clock come in as :class:`gateway.exports.exporting.Exporting`.
"""
