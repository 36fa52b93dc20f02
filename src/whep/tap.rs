//! Hears the SRTP master key of the outgoing direction from the WebRTC engine.
//!
//! The engine derives its SRTP session keys through its cryptographic provider and gives the keys to nobody. This
//! provider passes everything on to the real one and remembers what the derivation (RFC 3711 section 4.3) encrypts: a
//! block is the master salt, with the label mixed into octet 7, under the master key. The outgoing context is made
//! first, and its first block has label 0, so it is the salt itself. [`KeyTap::protector`] refuses any other shape, and
//! the gateway proves the whole at start with a handshake in the process.

use std::sync::{Arc, Mutex};

use rtc::crypto::{
    ActiveKeyExchange, AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CryptoAlgorithm, CryptoError, HashAlgorithm,
    HmacAlgorithm, KeyExchangeAlgorithm, Mac, PublicKey, RTCCrypto, RTCCryptoProvider, RTCRandom, SignatureScheme,
    SigningKey, StreamCipher, StreamCipherAlgorithm,
};

use crate::srtp::{Profile, Protector};

/// Blocks of both directions: 4 each with AES-GCM, 8 each with AES-CM.
const MAX_BLOCKS: usize = 16;

type Block = ([u8; 16], [u8; 16]);

/// A cryptographic provider that remembers key derivation. One for each session.
pub struct KeyTap {
    inner: Arc<dyn RTCCryptoProvider>,
    crypto: TappedCrypto,
}

struct TappedCrypto {
    inner: Arc<dyn RTCCryptoProvider>,
    /// Locked a few times in a handshake, never for media.
    blocks: Mutex<Vec<Block>>,
}

/// The engine derived its keys in a way that this program does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the WebRTC engine derived SRTP keys in an unknown way ({0} blocks under the first key, {1} in all)")]
pub struct UnknownDerivation(pub usize, pub usize);

impl KeyTap {
    /// Listens on a provider.
    pub fn new(inner: Arc<dyn RTCCryptoProvider>) -> Self {
        Self { crypto: TappedCrypto { inner: inner.clone(), blocks: Mutex::default() }, inner }
    }

    /// Protection for the outgoing direction, once the handshake is over. What was heard is forgotten.
    pub fn protector(&self) -> Result<Protector, UnknownDerivation> {
        let blocks = std::mem::take(&mut *self.crypto.blocks.lock().expect("no holder of this lock panics"));
        let unknown = |own| UnknownDerivation(own, blocks.len());
        let (key, salt) = blocks.first().ok_or_else(|| unknown(0))?;
        let own = blocks.iter().filter(|(block_key, _)| block_key == key).count();
        let profile = match (own, blocks.len()) {
            (4, 8) => Profile::Gcm128,
            (8, 16) => Profile::CmSha1,
            _ => return Err(unknown(own)),
        };
        if salt[profile.salt_len()..].iter().any(|octet| *octet != 0) {
            return Err(unknown(own));
        }
        let salt = salt.first_chunk().expect("14 octets are less than 16");
        Protector::new(profile, key, salt).map_err(|_| unknown(own))
    }
}

impl RTCCryptoProvider for KeyTap {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn crypto(&self) -> &dyn RTCCrypto {
        &self.crypto
    }
    fn random(&self) -> &dyn RTCRandom {
        self.inner.random()
    }
}

impl RTCCrypto for TappedCrypto {
    fn supports(&self, algorithm: CryptoAlgorithm) -> bool {
        self.inner.crypto().supports(algorithm)
    }
    fn hash(&self, algorithm: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.inner.crypto().hash(algorithm, data)
    }
    fn block_encrypt(&self, algorithm: BlockCipherAlgorithm, key: &[u8], block: &mut [u8]) -> Result<(), CryptoError> {
        if let (Ok(key), Ok(block)) = (key.try_into(), (&*block).try_into()) {
            let mut blocks = self.blocks.lock().expect("no holder of this lock panics");
            if blocks.len() < MAX_BLOCKS {
                blocks.push((key, block));
            }
        }
        self.inner.crypto().block_encrypt(algorithm, key, block)
    }
    fn new_hmac(&self, algorithm: HmacAlgorithm, key: &[u8]) -> Result<Box<dyn Mac>, CryptoError> {
        self.inner.crypto().new_hmac(algorithm, key)
    }
    fn new_stream_cipher(
        &self,
        algorithm: StreamCipherAlgorithm,
        key: &[u8],
    ) -> Result<Box<dyn StreamCipher>, CryptoError> {
        self.inner.crypto().new_stream_cipher(algorithm, key)
    }
    fn new_aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadCipher>, CryptoError> {
        self.inner.crypto().new_aead(algorithm, key)
    }
    fn new_cbc(
        &self,
        algorithm: rtc::crypto::CbcAlgorithm,
        key: &[u8],
    ) -> Result<Box<dyn rtc::crypto::CbcCipher>, CryptoError> {
        self.inner.crypto().new_cbc(algorithm, key)
    }
    fn start_key_exchange(&self, algorithm: KeyExchangeAlgorithm) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        self.inner.crypto().start_key_exchange(algorithm)
    }
    fn generate_signing_key(&self, scheme: SignatureScheme) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().generate_signing_key(scheme)
    }
    fn import_signing_key(&self, scheme: SignatureScheme, der: &[u8]) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().import_signing_key(scheme, der)
    }
    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        key: PublicKey<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.inner.crypto().verify_signature(scheme, key, message, signature)
    }
}
