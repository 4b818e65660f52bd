//! Where a function is on the PCI bus: its name on its host.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The address of one PCI function, as sysfs names it: `0000:17:00.0` (domain, bus, device, function, in hexadecimal).
///
/// Ordered as the bus is. Source: Linux, `Documentation/ABI/testing/sysfs-bus-pci`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

impl PciAddress {
    /// `None` when there can be no such device or function: a bus has 32 devices, a device eight functions.
    pub const fn new(domain: u32, bus: u8, device: u8, function: u8) -> Option<Self> {
        if device < 32 && function < 8 { Some(Self { domain, bus, device, function }) } else { None }
    }

    /// Which function of its device it is, 0 to 7.
    pub const fn function(self) -> u8 {
        self.function
    }

    /// Whether `other` is a function of the same device: of the same card, as a rule.
    pub const fn same_device(self, other: Self) -> bool {
        self.domain == other.domain && self.bus == other.bus && self.device == other.device
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

/// A text that is no PCI address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAddress(String);

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no PCI address: one looks like 0000:17:00.0", self.0)
    }
}

impl std::error::Error for NoAddress {}

impl FromStr for PciAddress {
    type Err = NoAddress;

    /// Reads `0000:17:00.0`, and `17:00.0` as lspci shortens it.
    fn from_str(text: &str) -> Result<Self, NoAddress> {
        parse(text).ok_or_else(|| NoAddress(text.chars().take(64).collect()))
    }
}

fn parse(text: &str) -> Option<PciAddress> {
    let (rest, function) = text.rsplit_once('.')?;
    let (rest, device) = rest.rsplit_once(':')?;
    let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0000", rest));
    let hex = |digits: &str, lengths: std::ops::RangeInclusive<usize>| {
        let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit()) && lengths.contains(&digits.len());
        plain.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    };
    let byte = |digits: &str, length| u8::try_from(hex(digits, length..=length)?).ok();
    PciAddress::new(hex(domain, 4..=8)?, byte(bus, 2)?, byte(device, 2)?, byte(function, 1)?)
}

impl From<PciAddress> for String {
    fn from(address: PciAddress) -> Self {
        address.to_string()
    }
}

impl TryFrom<String> for PciAddress {
    type Error = NoAddress;

    fn try_from(text: String) -> Result<Self, NoAddress> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in ["0000:17:00.0", "0000:ff:1f.7", "10000:01:00.1"] {
            let address: PciAddress = text.parse().expect("an address");
            assert_eq!(address.to_string(), text);
            assert_eq!(serde_json::to_string(&address).expect("JSON"), format!("{text:?}"));
            assert_eq!(serde_json::from_str::<PciAddress>(&format!("{text:?}")).expect("an address"), address);
        }
        assert_eq!("17:00.0".parse::<PciAddress>().expect("short"), "0000:17:00.0".parse().expect("long"));
    }

    #[test]
    fn what_could_name_another_file_is_no_address() {
        for text in
            ["", "17:00", "0000:17:00.8", "0000:17:20.0", "0000:17:00.0/..", "../17:00.0", "0000:+7:00.0", "é:1:0.0"]
        {
            assert!(text.parse::<PciAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_functions_of_a_card_know_each_other() {
        let at = |text: &str| text.parse::<PciAddress>().expect("an address");
        assert!(at("0000:01:00.0").same_device(at("0000:01:00.1")));
        assert!(!at("0000:01:00.0").same_device(at("0000:02:00.0")));
        assert_eq!(at("0000:01:00.1").function(), 1);
    }
}
