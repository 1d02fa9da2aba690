package testenv

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"time"
)

// TokenIssuer signs JSON Web Tokens.
type TokenIssuer struct{ key *rsa.PrivateKey }

const tokenKeyID = "k1"

// NewTokenIssuer makes an issuer with a key of its own.
func NewTokenIssuer() (*TokenIssuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a key for tokens: %w", err)
	}
	return &TokenIssuer{key}, nil
}

// KeySet is the JSON Web Key Set that tokens are verified by.
func (i *TokenIssuer) KeySet() []byte {
	encode := base64.RawURLEncoding.EncodeToString
	set, _ := json.Marshal(map[string]any{"keys": []map[string]string{{
		"use": "sig", "kty": "RSA", "alg": "RS256", "kid": tokenKeyID,
		"n": encode(i.key.N.Bytes()), "e": encode(big.NewInt(int64(i.key.E)).Bytes()),
	}}})
	return set
}

// Token gives a token for the subject, good from issued on for so long.
func (i *TokenIssuer) Token(subject string, issued time.Time, life time.Duration) (string, error) {
	header, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": tokenKeyID})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{"sub": subject, "scope": "kafka", "iat": issued.Unix(), "exp": issued.Add(life).Unix()})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode(header) + "." + encode(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("signing the token of %s: %w", subject, err)
	}
	return text + "." + encode(signature), nil
}
