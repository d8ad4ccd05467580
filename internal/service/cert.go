package service

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"sync/atomic"
	"time"

	"rialto/internal/model"
)

// SelfSigned makes an ECDSA P-256 key and a certificate for hosts (names or IP
// addresses), good for ten years from an hour ago. The first host is the
// subject. Both results are PEM.
func SelfSigned(hosts []string) (certPEM, keyPEM []byte, err error) {
	if len(hosts) == 0 {
		return nil, nil, model.E("service.selfsigned", model.KindInvalid, "no host names", nil)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: hosts[0]},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		// Its own authority, so that an administrator can import it as a root.
		IsCA: true, BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	kder, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kder})
	return certPEM, keyPEM, nil
}

// Certificates holds the certificates a server presents and lets them change
// while it runs. The zero value has none. Safe for concurrent use.
type Certificates struct {
	now   atomic.Pointer[certSet]
	files atomic.Pointer[[]KeyPair]
}

// KeyPair names the PEM files of one certificate (chain) and its key.
type KeyPair struct{ CertFile, KeyFile string }

type certSet struct {
	certs []tls.Certificate
	// config is made once per set, so that session tickets work across
	// connections.
	config *tls.Config
}

func newCertSet(certs []tls.Certificate) *certSet {
	s := &certSet{certs: certs}
	if len(certs) > 0 {
		s.config = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.pick}
	}
	return s
}

// Set replaces the certificates by one given as PEM.
func (c *Certificates) Set(certPEM, keyPEM []byte) error {
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return model.E("service.certificates", model.KindInvalid, "", err)
	}
	c.now.Store(newCertSet([]tls.Certificate{cert}))
	return nil
}

// Load replaces the certificates by those in files and remembers the names for
// Reload. On error the old ones stay.
func (c *Certificates) Load(files ...KeyPair) error {
	var certs []tls.Certificate
	for _, f := range files {
		cert, err := tls.LoadX509KeyPair(f.CertFile, f.KeyFile)
		if err != nil {
			kind := model.KindInvalid
			if errors.Is(err, os.ErrNotExist) {
				kind = model.KindNotFound
			}
			return model.E("service.certificates", kind, f.CertFile, err)
		}
		certs = append(certs, cert)
	}
	c.files.Store(&files)
	c.now.Store(newCertSet(certs))
	return nil
}

// Reload reads the files of the last Load again.
func (c *Certificates) Reload() error {
	f := c.files.Load()
	if f == nil {
		return nil
	}
	return c.Load(*f...)
}

// Config is a Server.TLS provider: it returns nil while there is no
// certificate. Clients get TLS 1.2 or better, and the certificate that fits
// the name they ask for, else the first.
func (c *Certificates) Config() *tls.Config {
	set := c.now.Load()
	if set == nil {
		return nil
	}
	return set.config
}

func (s *certSet) pick(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	for i := range s.certs {
		if hello.SupportsCertificate(&s.certs[i]) == nil {
			return &s.certs[i], nil
		}
	}
	return &s.certs[0], nil
}
