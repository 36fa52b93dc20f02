//! A trickle ICE fragment: the body of a PATCH (RFC 8840 section 9).

use super::Refusal;
use super::offer::is_usable;

/// Candidates of a session are at most this many; more are dropped.
const MAX_CANDIDATES: usize = 64;

/// What a fragment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// ICE user fragment of the offerer; another one than before is an ICE restart.
    pub ufrag: Option<String>,
    /// ICE password of the offerer.
    pub password: Option<String>,
    /// Candidates that can be used.
    pub candidates: Vec<String>,
}

impl Fragment {
    /// Reads a fragment. Lines that it does not know are skipped, candidates that cannot be used are dropped.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let mut fragment = Self::default();
        let mut known = false;
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            if line.get(1..2).is_none_or(|sign| sign != "=") {
                return Err(Refusal::Malformed(format!("the fragment has a line that is no SDP: {line:?}")));
            }
            let Some(attribute) = line.strip_prefix("a=") else { continue };
            let (key, value) = attribute.split_once(':').unwrap_or((attribute, ""));
            known |= matches!(key, "ice-ufrag" | "ice-pwd" | "candidate" | "end-of-candidates" | "mid");
            match key {
                "ice-ufrag" => fragment.ufrag = Some(value.to_owned()),
                "ice-pwd" => fragment.password = Some(value.to_owned()),
                "candidate" if is_usable(value) && fragment.candidates.len() < MAX_CANDIDATES => {
                    fragment.candidates.push(value.to_owned());
                }
                _ => {}
            }
        }
        if known { Ok(fragment) } else { Err(Refusal::Malformed("the fragment says nothing of ICE".into())) }
    }

    /// User fragment and password of an ICE restart, which have to be as long as RFC 8839 section 5.4 says.
    pub fn credentials(&self) -> Result<(&str, &str), Refusal> {
        Ok((credential(&self.ufrag, "ice-ufrag", 4)?, credential(&self.password, "ice-pwd", 22)?))
    }

    /// Candidates of one session that came before they could be used, the first ones of them.
    pub fn keep(self, kept: &mut Vec<(Option<String>, String)>) {
        let Self { ufrag, password: _, candidates } = self;
        let room = MAX_CANDIDATES.saturating_sub(kept.len());
        kept.extend(candidates.into_iter().take(room).map(|candidate| (ufrag.clone(), candidate)));
    }
}

fn credential<'a>(value: &'a Option<String>, key: &str, least: usize) -> Result<&'a str, Refusal> {
    match value.as_deref() {
        Some(value) if (least..=256).contains(&value.len()) && value.chars().all(is_ice_char) => Ok(value),
        Some(_) => Err(Refusal::Malformed(format!("the a={key} of the fragment is not one of {least} to 256 letters"))),
        None => Err(Refusal::Malformed(format!("an ICE restart needs a={key}"))),
    }
}

/// A letter of ICE credentials. Some players use the alphabet of URLs too.
fn is_ice_char(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "+/-_=".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usable_candidates_and_credentials_are_read() {
        let text = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
                    a=candidate:1 1 udp 2113937151 192.0.2.1 9000 typ host\r\n\
                    a=candidate:2 1 udp 2113937151 x.local 9000 typ host\r\na=end-of-candidates\r\n";
        let fragment = Fragment::parse(text).expect("it is read");
        assert_eq!(fragment.ufrag.as_deref(), Some("EsAw"));
        assert_eq!(fragment.candidates, ["1 1 udp 2113937151 192.0.2.1 9000 typ host"]);
    }

    #[test]
    fn what_is_no_fragment_is_malformed() {
        for text in ["", "hello", "{\"candidate\": 1}", "s=-\r\n"] {
            assert!(matches!(Fragment::parse(text), Err(Refusal::Malformed(_))), "{text:?}");
        }
    }

    #[test]
    fn credentials_are_complete_and_long_enough() {
        let read = |text: &str| Fragment::parse(text).expect("it is read");
        let whole = read("a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n");
        assert_eq!(whole.credentials(), Ok(("EsAw", "P2uYro0UCOQ4zxjKXaWCBui1")));
        for text in [
            "a=ice-ufrag:EsAw\r\n",
            "a=ice-ufrag:EsAw\r\na=ice-pwd:short\r\n",
            "a=ice-ufrag:E\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n",
            "a=ice-ufrag:a b c\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n",
        ] {
            assert!(matches!(read(text).credentials(), Err(Refusal::Malformed(_))), "{text:?}");
        }
    }

    #[test]
    fn candidates_are_bounded() {
        let text = "a=candidate:1 1 udp 1 192.0.2.1 9000 typ host\r\n".repeat(500);
        assert_eq!(Fragment::parse(&text).expect("it is read").candidates.len(), MAX_CANDIDATES);
    }
}
