package org

import (
	"bytes"
	"context"
	"encoding/binary"

	"rialto/internal/directory"
	"rialto/internal/wire/ldap"
)

// firstRID is the first relative identifier that is given to what people make;
// those below are well-known.
const firstRID = 1000

// Gone returns a function that says whether a SID is that of an account or group
// of this domain that exists no more. The SIDs there are were read in one go;
// one that is not among them is asked for by itself, for it may be newer. SIDs of
// other domains, and all when the directory does not answer, are not gone.
func (o *Org) Gone(ctx context.Context) (func(sid []byte) bool, error) {
	domain, err := directory.Get(ctx, o.dir, directory.AsSystem, o.dir.Root().Domain, "objectSid")
	if err != nil {
		return nil, unavailable("org.gone", "domain", err)
	}
	prefix := domain.Text("objectSid")
	there := map[string]bool{}
	s := &directory.Search{Base: o.dir.Root().Domain, Scope: directory.Subtree, Filter: ldap.Present("objectSid"), Attributes: []string{"objectSid"}}
	if _, err := o.dir.Search(ctx, directory.AsSystem, s, func(e *directory.Entry) error {
		there[e.Text("objectSid")] = true
		return nil
	}); err != nil {
		return nil, unavailable("org.gone", "accounts", err)
	}
	return func(sid []byte) bool {
		if !ofDomain([]byte(prefix), sid) {
			return false
		}
		yes, known := there[string(sid)]
		if known {
			return !yes
		}
		found, err := directory.Find(ctx, o.dir, directory.AsSystem, &directory.Search{Base: s.Base, Scope: directory.Subtree,
			Filter: &ldap.Filter{Kind: ldap.FilterEqual, Attr: "objectSid", Value: sid}, Attributes: []string{"objectSid"}, Limit: 1})
		if err != nil {
			return false
		}
		there[string(sid)] = len(found) > 0
		return len(found) == 0
	}, nil
}

// ofDomain reports whether a SID is one that the domain has given to what people
// made. A SID is revision, count of sub-authorities, six octets of authority and
// the sub-authorities of four octets each, little-endian (MS-DTYP 2.4.2.2).
func ofDomain(domain, sid []byte) bool {
	n := len(domain)
	return n >= 8 && len(sid) == n+4 && sid[0] == domain[0] && sid[1] == domain[1]+1 &&
		bytes.Equal(sid[2:n], domain[2:]) && binary.LittleEndian.Uint32(sid[n:]) >= firstRID
}
