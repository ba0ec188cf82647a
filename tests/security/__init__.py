"""Nobody in: wrong passwords, untrusted certificates, missing grants, hostile clients; and no secret is shown."""
