// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"math/big"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// maxClusterIPs bounds the bitmap of cluster IPs. Of larger IPv6 ranges the
// first so many addresses are used (Kubernetes: ipallocator).
const maxClusterIPs = 1 << 16

// defaultClusterIPRange is that of --service-cluster-ip-range in Kubernetes.
func defaultClusterIPRange() netip.Prefix { return netip.MustParsePrefix("10.0.0.0/24") }

// clusterIPs are the addresses of a CIDR as items of a storedRange: the network
// address is left out, item 0 is the first address after it, and the last
// address of an IPv4 range is left out too, as it is the broadcast address.
type clusterIPs struct {
	*storedRange
	prefix netip.Prefix
}

// newClusterIPs sizes a range for the CIDR. The first address is the API
// server's own, and the next few are left for those who choose their address.
func newClusterIPs(prefix netip.Prefix) (clusterIPs, error) {
	prefix = prefix.Masked()
	hostBits := prefix.Addr().BitLen() - prefix.Bits()
	if !prefix.IsValid() || hostBits < 2 || (prefix.Addr().Is4() && hostBits > 20) {
		return clusterIPs{}, fmt.Errorf("cluster IPs cannot be taken from %q: an IPv4 range has a mask of 12 to 30 bits, an IPv6 range of at most 126", prefix)
	}
	size := maxClusterIPs
	if hostBits < 16 || prefix.Addr().Is4() {
		size = 1 << hostBits
	}
	band := 0
	if size > 16 {
		band = min(max(16, size/16), 256)
	}
	size-- // the network address
	if prefix.Addr().Is4() {
		size-- // the broadcast address
	}
	return clusterIPs{
		storedRange: &storedRange{key: "/ranges/serviceips", text: prefix.String(), noun: "IP", size: size, floor: 1, band: max(1, band)},
		prefix:      prefix,
	}, nil
}

// family is the IP family of the range.
func (c clusterIPs) family() corev1.IPFamily { return familyOf(c.prefix.Addr()) }

func familyOf(ip netip.Addr) corev1.IPFamily {
	if ip.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// item finds the address in the range.
func (c clusterIPs) item(address string) (int, error) {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return 0, refusedItem(fmt.Sprintf("failed to parse service IP %q", address))
	}
	if c.prefix.Contains(ip) {
		offset := new(big.Int).Sub(bigAddress(ip), bigAddress(c.prefix.Addr()))
		if offset.Sign() > 0 && offset.Cmp(big.NewInt(int64(c.size))) <= 0 {
			return int(offset.Int64()) - 1, nil
		}
	}
	return 0, refusedItem(fmt.Sprintf("the provided IP (%s) is not in the valid range. The range of valid IPs is %s", ip, c.prefix))
}

// address is the text of an item.
func (c clusterIPs) address(item int) string {
	first := c.prefix.Addr()
	sum := bigAddress(first)
	sum.Add(sum, big.NewInt(int64(item)+1))
	bytes := make([]byte, first.BitLen()/8)
	ip, _ := netip.AddrFromSlice(sum.FillBytes(bytes))
	return ip.String()
}

func bigAddress(ip netip.Addr) *big.Int { return new(big.Int).SetBytes(ip.AsSlice()) }
