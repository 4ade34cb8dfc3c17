//! Network ranges, as `ipBlock` has them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};

/// A range of addresses, CIDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    network: IpAddr,
    length: u8,
}

impl Range {
    /// Reads `192.0.2.0/24` or `2001:db8::/32`.
    ///
    /// # Errors
    /// It is no range.
    pub fn parse(text: &str) -> Result<Self> {
        let (network, length) = text.split_once('/').with_context(|| format!("`{text}` has no length"))?;
        let network: IpAddr = network.parse().with_context(|| format!("`{text}` has no address"))?;
        let length: u8 = length.parse().with_context(|| format!("`{text}` has no length"))?;
        ensure!(length <= width(network), "`{text}` is longer than an address");
        Ok(Self { network, length })
    }

    /// Every address there is.
    pub fn everywhere() -> Vec<Self> {
        let all = |network| Self { network, length: 0 };
        vec![all(Ipv4Addr::UNSPECIFIED.into()), all(Ipv6Addr::UNSPECIFIED.into())]
    }

    /// Whether the address is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        width(address) == width(self.network) && self.prefix(address) == self.prefix(self.network)
    }

    /// An address inside, and the first one behind its end.
    pub fn samples(self) -> Vec<IpAddr> {
        if self.length == 0 {
            return Vec::new();
        }
        let first = self.prefix(self.network) << self.free();
        let behind = (self.prefix(self.network) + 1).checked_shl(self.free());
        [Some(first), behind].into_iter().flatten().filter_map(|bits| address(bits, self.network)).collect()
    }

    fn free(self) -> u32 {
        u32::from(width(self.network) - self.length)
    }

    fn prefix(self, address: IpAddr) -> u128 {
        let bits = match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        bits.checked_shr(self.free()).unwrap_or(0)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address of these bits, of the family of `like`; `None` behind the last one.
fn address(bits: u128, like: IpAddr) -> Option<IpAddr> {
    match like {
        IpAddr::V4(_) => u32::try_from(bits).ok().map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(_) => Some(Ipv6Addr::from_bits(bits).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_addresses_and_not_the_next_one() {
        for (range, inside, behind) in [
            ("192.0.2.0/24", "192.0.2.0", "192.0.3.0"),
            ("10.9.8.7/32", "10.9.8.7", "10.9.8.8"),
            ("2001:db8::/32", "2001:db8::", "2001:db9::"),
        ] {
            let range = Range::parse(range).unwrap();
            let [inside, behind]: [IpAddr; 2] = [inside, behind].map(|text| text.parse().unwrap());
            assert_eq!(range.samples(), [inside, behind]);
            assert!(range.contains(inside) && !range.contains(behind), "{range}");
        }
        assert!(Range::everywhere()[0].contains("203.0.113.9".parse().unwrap()));
        assert!(!Range::everywhere()[0].contains("2001:db8::1".parse().unwrap()));
        for wrong in ["192.0.2.0", "192.0.2.0/33", "x/8", "::/129"] {
            assert!(Range::parse(wrong).is_err(), "{wrong}");
        }
    }
}
