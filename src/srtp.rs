//! One viewer's SRTP: key derivation and protection of outgoing RTP (RFC 3711, RFC 7714).
//!
//! The handshake and SRTCP stay with the WebRTC engine; this room protects what the egress sends.
//!
//! # Why no key protects two different packets under one number
//!
//! AES-GCM and AES-CM both fail when the same key, SSRC and packet index meet two different packets. The key is one
//! viewer's alone, the SSRC is fixed for the session, and [`Protector::protect`] takes the index (rollover counter and
//! sequence number) from the caller, who derives it from the packet's place in the ring, which is given once and never
//! again. A retransmission is the same packet under the same index, octet for octet.
//!
//! This room never knows what a viewer or a stream is.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

/// A protection profile (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// `AEAD_AES_128_GCM`.
    Gcm128,
    /// `AES128_CM_HMAC_SHA1_80`.
    CmSha1,
}

impl Profile {
    /// Octets of the master salt.
    pub const fn salt_len(self) -> usize {
        match self {
            Self::Gcm128 => 12,
            Self::CmSha1 => 14,
        }
    }

    /// Octets that protection adds to a packet.
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Gcm128 => 16,
            Self::CmSha1 => 10,
        }
    }
}

/// Keying material that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic library refuses the keying material")]
pub struct KeyError;

/// Protects one viewer's outgoing RTP packets.
pub struct Protector {
    cipher: Cipher,
}

#[expect(clippy::large_enum_variant, reason = "one a viewer, and read for every packet: no pointer to follow")]
enum Cipher {
    Gcm { key: LessSafeKey, salt: [u8; 12] },
    CmSha1 { key: EncryptingKey, salt: [u8; 14], mac: hmac::Key },
}

const LABEL_ENCRYPTION: u8 = 0;
const LABEL_AUTHENTICATION: u8 = 1;
const LABEL_SALT: u8 = 2;

impl Protector {
    /// Derives the session keys from the master key and the master salt ([`Profile::salt_len`] octets of it are used).
    pub fn new(profile: Profile, master_key: &[u8; 16], master_salt: &[u8; 14]) -> Result<Self, KeyError> {
        let salt = &master_salt[..profile.salt_len()];
        let key: [u8; 16] = derive(master_key, salt, LABEL_ENCRYPTION)?;
        let cipher = match profile {
            Profile::Gcm128 => Cipher::Gcm {
                key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).map_err(|_| KeyError)?),
                salt: derive(master_key, salt, LABEL_SALT)?,
            },
            Profile::CmSha1 => {
                let mac: [u8; 20] = derive(master_key, salt, LABEL_AUTHENTICATION)?;
                let key = UnboundCipherKey::new(&AES_128, &key).map_err(|_| KeyError)?;
                Cipher::CmSha1 {
                    key: EncryptingKey::ctr(key).map_err(|_| KeyError)?,
                    salt: derive(master_key, salt, LABEL_SALT)?,
                    mac: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &mac),
                }
            }
        };
        Ok(Self { cipher })
    }

    /// Octets that protection adds to a packet.
    pub fn tag_len(&self) -> usize {
        match self.cipher {
            Cipher::Gcm { .. } => Profile::Gcm128.tag_len(),
            Cipher::CmSha1 { .. } => Profile::CmSha1.tag_len(),
        }
    }

    /// Appends the protected packet to `out`. `header` is the whole RTP header with its extension; `index` is the
    /// rollover counter in the high bits and the sequence number in the low 16 (RFC 3711 section 3.3.1).
    pub fn protect(&self, header: &[u8], payload: &[u8], ssrc: u32, index: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(header);
        out.extend_from_slice(payload);
        let (rollover, sequence_number) = ((index >> 16) as u32, index as u16);
        match &self.cipher {
            Cipher::Gcm { key, salt } => {
                let mut iv = *salt;
                mix(&mut iv[2..6], &ssrc.to_be_bytes());
                mix(&mut iv[6..10], &rollover.to_be_bytes());
                mix(&mut iv[10..12], &sequence_number.to_be_bytes());
                let (head, body) = out[start..].split_at_mut(header.len());
                let tag = key
                    .seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), Aad::from(&*head), body)
                    .expect("a packet is far below the limit of AES-GCM");
                out.extend_from_slice(tag.as_ref());
            }
            Cipher::CmSha1 { key, salt, mac } => {
                let mut iv = [0; 16];
                iv[..14].copy_from_slice(salt);
                mix(&mut iv[4..8], &ssrc.to_be_bytes());
                mix(&mut iv[8..12], &rollover.to_be_bytes());
                mix(&mut iv[12..14], &sequence_number.to_be_bytes());
                let body = &mut out[start + header.len()..];
                key.less_safe_encrypt(body, EncryptionContext::Iv128(FixedLength::from(iv)))
                    .expect("counter mode takes any length");
                let mut context = hmac::Context::with_key(mac);
                context.update(&out[start..]);
                context.update(&rollover.to_be_bytes());
                out.extend_from_slice(&context.sign().as_ref()[..Profile::CmSha1.tag_len()]);
            }
        }
    }
}

fn mix(into: &mut [u8], with: &[u8]) {
    for (octet, mask) in into.iter_mut().zip(with) {
        *octet ^= mask;
    }
}

/// Key derivation with a derivation rate of zero (RFC 3711 section 4.3).
fn derive<const N: usize>(master_key: &[u8; 16], master_salt: &[u8], label: u8) -> Result<[u8; N], KeyError> {
    let key = UnboundCipherKey::new(&AES_128, master_key).map_err(|_| KeyError)?;
    let mut iv = [0; 16];
    iv[..master_salt.len()].copy_from_slice(master_salt);
    iv[7] ^= label;
    let mut out = [0; N];
    EncryptingKey::ctr(key)
        .and_then(|key| key.less_safe_encrypt(&mut out, EncryptionContext::Iv128(FixedLength::from(iv))))
        .map_err(|_| KeyError)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
    }

    #[test]
    fn keys_are_derived_as_in_rfc_3711_appendix_b3() {
        let key: [u8; 16] = hex("E1F97A0D3E018BE0D64FA32C06DE4139").try_into().expect("16 octets");
        let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
        assert_eq!(
            derive::<16>(&key, &salt, LABEL_ENCRYPTION),
            Ok(hex("C61E7A93744F39EE10734AFE3FF7A087").try_into().expect("16"))
        );
        assert_eq!(
            derive::<14>(&key, &salt, LABEL_SALT),
            Ok(hex("30CBBC08863D8C85D49DB34A9AE1").try_into().expect("14"))
        );
        assert_eq!(
            derive::<20>(&key, &salt, LABEL_AUTHENTICATION),
            Ok(hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4").try_into().expect("20"))
        );
    }

    /// Another implementation opens what this one sealed, over a rollover of the sequence number.
    fn opened_by_another(profile: Profile, theirs: rtc::srtp::protection_profile::ProtectionProfile) {
        let key = [7; 16];
        let salt = [9; 14];
        let protector = Protector::new(profile, &key, &salt).expect("keys are good");
        let provider = rtc::crypto::providers::AwsLcRsProvider::new();
        let mut context = rtc::srtp::context::Context::new(
            &key,
            &salt[..profile.salt_len()],
            theirs,
            None,
            None,
            rtc::crypto::RTCCryptoProvider::crypto(&provider),
        )
        .expect("keys are good");
        for index in 65_530..65_550_u64 {
            let mut header = vec![0x80, 102];
            header.extend_from_slice(&(index as u16).to_be_bytes());
            header.extend_from_slice(&[0, 0, 0, 9, 0, 0, 0, 7]);
            let mut out = Vec::new();
            protector.protect(&header, b"payload", 7, index, &mut out);
            assert_eq!(out.len(), header.len() + 7 + protector.tag_len());
            let opened = context.decrypt_rtp(&out).expect("it was sealed with the same keys");
            assert_eq!(&opened[12..], b"payload");
        }
    }

    #[test]
    fn what_gcm_seals_another_implementation_opens() {
        opened_by_another(Profile::Gcm128, rtc::srtp::protection_profile::ProtectionProfile::AeadAes128Gcm);
    }

    #[test]
    fn what_cm_sha1_seals_another_implementation_opens() {
        opened_by_another(Profile::CmSha1, rtc::srtp::protection_profile::ProtectionProfile::Aes128CmHmacSha1_80);
    }

    #[test]
    fn a_retransmission_is_the_same_octets() {
        let protector = Protector::new(Profile::Gcm128, &[1; 16], &[2; 14]).expect("keys are good");
        let (mut first, mut again) = (Vec::new(), Vec::new());
        protector.protect(&[0x80; 12], b"payload", 7, 99, &mut first);
        protector.protect(&[0x80; 12], b"payload", 7, 99, &mut again);
        assert_eq!(first, again);
    }
}
