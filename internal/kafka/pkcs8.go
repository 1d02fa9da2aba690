package kafka

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // what a key was encrypted by isn't chosen here
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"hash"
)

// Object identifiers of encrypted keys (RFC 8018).
var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}

	ciphers = map[string]int{ // the length of the key
		"2.16.840.1.101.3.4.1.2":  16,
		"2.16.840.1.101.3.4.1.22": 24,
		"2.16.840.1.101.3.4.1.42": 32,
	}
	hashes = map[string]func() hash.Hash{
		"":                    sha1.New, // the default
		"1.2.840.113549.2.7":  sha1.New,
		"1.2.840.113549.2.9":  sha256.New,
		"1.2.840.113549.2.10": sha512.New384,
		"1.2.840.113549.2.11": sha512.New,
	}
)

// mostKeyRounds bounds what opening a key may take: some seconds.
const mostKeyRounds = 10_000_000

// openKey decrypts a private key in the form of PKCS #8 (RFC 5958), encrypted by
// PBES2 with AES-CBC and PBKDF2, as OpenSSL and Java write it, and gives its
// PrivateKeyInfo.
func openKey(der, password []byte) ([]byte, error) {
	var sealed struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	var scheme struct{ Derivation, Encryption pkix.AlgorithmIdentifier }
	var derivation struct {
		Salt      []byte
		Rounds    int
		KeyLength int                      `asn1:"optional"`
		Hash      pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	var iv []byte
	if rest, err := asn1.Unmarshal(der, &sealed); err != nil || len(rest) > 0 {
		return nil, errors.New("it isn't PKCS #8")
	}
	if !sealed.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, errors.New("it isn't encrypted by PBES2: openssl pkcs8 -topk8 -v2 aes-256-cbc does")
	}
	if _, err := asn1.Unmarshal(sealed.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, errors.New("its parameters make no sense")
	}
	length, known := ciphers[scheme.Encryption.Algorithm.String()]
	if !known || !scheme.Derivation.Algorithm.Equal(oidPBKDF2) {
		return nil, errors.New("it isn't encrypted by AES in the mode CBC with PBKDF2: openssl pkcs8 -topk8 -v2 aes-256-cbc does")
	}
	if _, err := asn1.Unmarshal(scheme.Derivation.Parameters.FullBytes, &derivation); err != nil {
		return nil, errors.New("its parameters make no sense")
	}
	if _, err := asn1.Unmarshal(scheme.Encryption.Parameters.FullBytes, &iv); err != nil || len(iv) != aes.BlockSize {
		return nil, errors.New("its parameters make no sense")
	}
	digest := hashes[derivation.Hash.Algorithm.String()]
	if digest == nil || derivation.Rounds < 1 || derivation.Rounds > mostKeyRounds ||
		derivation.KeyLength != 0 && derivation.KeyLength != length || len(sealed.Data) == 0 || len(sealed.Data)%aes.BlockSize != 0 {
		return nil, errors.New("its parameters make no sense")
	}
	key, err := pbkdf2.Key(digest, string(password), derivation.Salt, derivation.Rounds, length)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(sealed.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, sealed.Data)
	padding := int(plain[len(plain)-1])
	if padding == 0 || padding > aes.BlockSize {
		return nil, errors.New("wrong password")
	}
	for _, b := range plain[len(plain)-padding:] {
		if int(b) != padding {
			return nil, errors.New("wrong password")
		}
	}
	plain = plain[:len(plain)-padding]
	var info asn1.RawValue
	if rest, err := asn1.Unmarshal(plain, &info); err != nil || len(rest) > 0 {
		return nil, errors.New("wrong password")
	}
	return plain, nil
}
