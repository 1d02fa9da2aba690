package kafka

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"github.com/kudu2kafka/kudu2kafka/internal/pemfile"
)

// maxStore bounds the files of keys and certificates.
const maxStore = 8 << 20

// read takes all of it.
func (t TLS) read() (*material, *RefusedError) {
	m := &material{}
	if t.Truststore != "" || t.Trusted != "" {
		var fault *RefusedError
		if m.trusted, fault = t.readTrusted(); fault != nil {
			return nil, fault
		}
		m.roots = x509.NewCertPool()
		for _, cert := range m.trusted {
			m.roots.AddCert(cert)
		}
	}
	switch {
	case t.Keystore != "":
		const key = "ssl.keystore.location"
		data, fault := readStore(key, t.Keystore, t.KeystoreType)
		if fault != nil {
			return nil, fault
		}
		if isPEM(data) {
			m.own, fault = ownFromPEM(key, data, data, t.KeyPassword.Reveal())
		} else {
			m.own, fault = ownFromPKCS12(key, data, t.KeystorePassword.Reveal())
		}
		if fault != nil {
			return nil, fault
		}
	case t.Chain != "":
		var fault *RefusedError
		if m.own, fault = ownFromPEM("ssl.keystore.certificate.chain", []byte(t.Chain), []byte(t.Key.Reveal()), t.KeyPassword.Reveal()); fault != nil {
			return nil, fault
		}
	}
	return m, nil
}

func (t TLS) readTrusted() ([]*x509.Certificate, *RefusedError) {
	key, data := "ssl.truststore.certificates", []byte(t.Trusted)
	if t.Truststore != "" {
		key = "ssl.truststore.location"
		var fault *RefusedError
		if data, fault = readStore(key, t.Truststore, t.TruststoreType); fault != nil {
			return nil, fault
		}
	}
	if !isPEM(data) && t.Truststore != "" {
		certs, err := pkcs12.DecodeTrustStore(data, t.TruststorePassword.Reveal())
		if err != nil {
			return nil, pkcs12Fault(key, "ssl.truststore.password", err)
		}
		return certs, nil
	}
	certs, fault := pemfile.Certificates(data)
	if fault != nil {
		return nil, fileFault(key, fault.What, fault.Remedy)
	}
	return certs, nil
}

func isPEM(data []byte) bool { return bytes.Contains(data, []byte("-----BEGIN ")) }

// readStore reads a file of keys or certificates. Its contents tell its format, as
// Java does for JKS and PKCS12; a type that is given must not contradict.
func readStore(key, path, kind string) ([]byte, *RefusedError) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxStore {
		return nil, fileFault(key, fmt.Sprintf("the file %s has %d bytes", path, info.Size()), "name a file of keys or certificates")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		if cause, ok := errors.AsType[*fs.PathError](err); ok {
			err = cause.Err
		}
		return nil, fileFault(key, fmt.Sprintf("the file %s cannot be read (%v)", path, err), "check the path, and the rights of this process's user")
	}
	typeKey := strings.TrimSuffix(key, "location") + "type"
	switch {
	case bytes.HasPrefix(data, []byte{0xfe, 0xed, 0xfe, 0xed}), bytes.HasPrefix(data, []byte{0xce, 0xce, 0xce, 0xce}):
		return nil, fileFault(key, fmt.Sprintf("the file %s is a Java keystore (JKS), which only Java reads", path),
			"make a PKCS12 file of it: keytool -importkeystore -srckeystore "+path+" -destkeystore "+path+".p12 -deststoretype PKCS12")
	case isPEM(data) && kind != "" && kind != "PEM":
		return nil, fileFault(key, fmt.Sprintf("the file %s is PEM, and %s is %s", path, typeKey, kind), "write "+typeKey+": PEM, or leave it out")
	case !isPEM(data) && kind == "PEM":
		return nil, fileFault(key, fmt.Sprintf("the file %s isn't PEM", path), "name a PEM file, or leave "+typeKey+" out")
	}
	return data, nil
}

// ownFromPEM takes the certificate with its issuers' from chain, and the key.
func ownFromPEM(key string, chain, private []byte, password string) (*tls.Certificate, *RefusedError) {
	if fault := pemfile.CutOff(chain); fault != nil {
		return nil, fileFault(key, fault.What, fault.Remedy)
	}
	var opened []byte
	for block, rest := pem.Decode(private); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY":
			if password == "" {
				return nil, fileFault(key, "has an encrypted key, and no password is given", "give ssl.key.password, best as ${file:PATH}")
			}
			plain, err := openKey(block.Bytes, []byte(password))
			if err != nil {
				return nil, fileFault(key, "its key cannot be decrypted ("+err.Error()+")", "correct ssl.key.password")
			}
			block = &pem.Block{Type: "PRIVATE KEY", Bytes: plain}
		case strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, fileFault(key, "has a key that is encrypted in OpenSSL's old form", "encrypt it as PKCS #8: openssl pkcs8 -topk8 -in old.key -out new.key")
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			opened = append(opened, pem.EncodeToMemory(block)...)
		}
	}
	pair, err := tls.X509KeyPair(chain, opened)
	if err != nil {
		return nil, fileFault(key, "has no certificate with its key ("+strings.TrimPrefix(err.Error(), "tls: ")+")", "give both as PEM, the key as PKCS #8")
	}
	return &pair, nil
}

func ownFromPKCS12(key string, data []byte, password string) (*tls.Certificate, *RefusedError) {
	private, cert, issuers, err := pkcs12.DecodeChain(data, password)
	if err != nil {
		return nil, pkcs12Fault(key, "ssl.keystore.password", err)
	}
	own := &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: private, Leaf: cert}
	for _, issuer := range issuers {
		own.Certificate = append(own.Certificate, issuer.Raw)
	}
	if _, ok := private.(crypto.Signer); !ok {
		return nil, fileFault(key, fmt.Sprintf("has a key of a kind that can't sign (%T)", private), "name a file with an RSA, EC or Ed25519 key")
	}
	return own, nil
}

func pkcs12Fault(key, passwordKey string, err error) *RefusedError {
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return fileFault(key, "doesn't open with the password of "+passwordKey, "correct "+passwordKey)
	}
	return fileFault(key, "is neither PEM nor a PKCS12 file that can be read ("+oneLine(err.Error())+")",
		"give PEM, by: openssl pkcs12 -in FILE -nodes -out FILE.pem")
}

func fileFault(key, what, remedy string) *RefusedError {
	return &RefusedError{Key: key, What: key + ": " + what, Remedy: remedy, Verdict: Passing}
}
