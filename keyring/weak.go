// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
)

// minRSABits is what RFC 7518, section 3.3, demands for RS256.
const minRSABits = 2048

// checkRSA tells why nobody should rely on what a key verifies: others could
// sign it, too.
func checkRSA(key *rsa.PublicKey) error {
	if bits := key.N.BitLen(); bits < minRSABits {
		return fmt.Errorf("an RSA key of %d bits is too short: use at least %d", bits, minRSABits)
	}
	if key.E < 3 || key.E%2 == 0 {
		return fmt.Errorf("an RSA key with the public exponent %d cannot sign: use 65537", key.E)
	}
	if isPowerOf65537(key.N) {
		return errors.New("an RSA key that was made by a faulty chip (CVE-2017-15361) can be broken: make another, elsewhere")
	}
	return nil
}

// chipPrimes is the largest prime that those chips put into the product by which
// they chose the factors of keys of 2048 bits; of longer keys, larger ones too.
const chipPrimes = 701

// isPowerOf65537 tells whether a modulus is, by each of these primes, a power of
// 65537, as all moduli of those chips are. Of others, one in 10^40 is. (Nemec and
// others, The Return of Coppersmith's Attack, CCS 2017, section 2.)
func isPowerOf65537(modulus *big.Int) bool {
	for p := int64(3); p <= chipPrimes; p += 2 {
		prime := big.NewInt(p)
		if !prime.ProbablyPrime(0) { // which is certain of small numbers
			continue
		}
		if !isPower(new(big.Int).Mod(modulus, prime).Int64(), 65537%p, p) {
			return false
		}
	}
	return true
}

// isPower tells whether n is a power of base by a prime.
func isPower(n, base, prime int64) bool {
	for power := base; ; power = power * base % prime {
		if power == n {
			return true
		}
		if power == 1 {
			return false
		}
	}
}
