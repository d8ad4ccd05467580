package layout

import (
	"context"
	"encoding/binary"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/content"
)

// A replica row holds the GUID, and of one that was the mailbox's own before
// it got a new incarnation the highest counter that it gave.
const (
	ReplicaVersion = 1
	ReplicaFormer  = 2
)

// Replica is a replica that a mailbox knows.
type Replica struct {
	ID   ReplicaID
	GUID model.GUID
	// Former is the highest counter given under the GUID when it was the
	// mailbox's own; 0: it never was, or it is now. Ids under it up to Former mean
	// the objects that have them as MID or FolderID today.
	Former uint64
}

// ReadReplicas returns the replicas a mailbox knows, its own first.
func ReadReplicas(ctx context.Context, r kv.Reader, n Number) ([]Replica, error) {
	var out []Replica
	p := n.Key(SubReplica)
	it := r.Scan(ctx, kv.Range{Lower: p, Upper: PrefixEnd(p)})
	for it.Next() {
		k, d := it.Key(), NewReader(it.Value())
		version := d.Byte()
		x := Replica{GUID: d.GUID()}
		if version == ReplicaFormer {
			x.Former = d.Uvarint()
		}
		if len(k) != len(p)+2 || d.Bad || version != ReplicaVersion && version != ReplicaFormer {
			it.Close()
			return nil, Corrupt("replica")
		}
		x.ID = ReplicaID(binary.BigEndian.Uint16(k[len(p):]))
		out = append(out, x)
	}
	return out, content.Wrap("store.replicas", "mailbox", it.Close())
}
