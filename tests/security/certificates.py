"""Certificates, signing keys and tokens, made anew for each run and never kept."""

import base64
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
OPEN = serialization.NoEncryption()


@dataclass(frozen=True)
class Authority:
    """One that signs certificates; `file` holds its own."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    file: Path

    def keystore(self, path: Path) -> Path:
        """Write one PEM file with a key and a certificate for 127.0.0.1 and localhost."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
        certificate = signed("broker", key.public_key(), self.certificate.subject, self.key, names)
        path.write_bytes(key.private_bytes(PEM, PKCS8, OPEN) + certificate.public_bytes(PEM))
        return path


def authority(path: Path) -> Authority:
    """Make an authority and write its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, path.stem)])
    certificate = signed(path.stem, key.public_key(), name, key, [], is_authority=True)
    path.write_bytes(certificate.public_bytes(PEM))
    return Authority(key, certificate, path)


def signed(
    name: str, public_key: Any, issuer: x509.Name, key: Any, names: list[Any], is_authority: bool = False
) -> x509.Certificate:
    """Sign a certificate that is valid for a day."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256())


def in_base64(data: bytes) -> str:
    """As JSON Web Tokens write bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """Signs tokens with a key of its own; `file` tells a broker its public half."""

    def __init__(self, file: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self._key.public_key().public_numbers()
        public = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "test"}
        public["n"] = in_base64(numbers.n.to_bytes(256, "big"))
        public["e"] = in_base64(numbers.e.to_bytes(3, "big"))
        file.write_text(json.dumps({"keys": [public]}))
        self.file = file

    def token(self, subject: str, life_s: float = 600.0, **claims: Any) -> str:
        """Sign a token; a negative life makes one that has expired."""
        now = int(time.time())
        said = {"sub": subject, "aud": "kafka", "iat": now, "exp": now + int(life_s), "scope": "kafka", **claims}
        text = (
            f"{in_base64(json.dumps({'alg': 'RS256', 'kid': 'test'}).encode())}.{in_base64(json.dumps(said).encode())}"
        )
        return f"{text}.{in_base64(self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"
