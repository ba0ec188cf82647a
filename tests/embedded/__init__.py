"""The embedded servers: bound to loopback, going on from their data, never outliving their parent."""
