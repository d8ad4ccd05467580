package server

import (
	"os"
	"path/filepath"

	"rialto/internal/service"
)

// certificates loads the server's certificate, making a self-signed one if
// there is none.
func (c *Config) certificates(hosts []string) (*service.Certificates, error) {
	dir := filepath.Join(c.DataDir, "certs")
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := os.Stat(key); os.IsNotExist(err) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		certPEM, keyPEM, err := service.SelfSigned(hosts)
		if err != nil {
			return nil, err
		}
		// The key comes last: it is what says that the pair is complete.
		if err := writeFile(cert, certPEM, 0o644); err != nil {
			return nil, err
		}
		if err := writeFile(key, keyPEM, 0o600); err != nil {
			return nil, err
		}
	}
	var certs service.Certificates
	return &certs, certs.Load(service.KeyPair{CertFile: cert, KeyFile: key})
}
