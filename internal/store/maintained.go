package store

import (
	"context"
	"errors"

	"rialto/internal/kv"
	"rialto/internal/store/layout"
)

// Maintained says what the last maintenance of the database did; zero: there was
// none.
func (d *Database) Maintained(ctx context.Context) (m Maintenance, err error) {
	v, err := d.kv.Get(ctx, layout.FactKey("maintenance"))
	if errors.Is(err, kv.ErrNotFound) {
		return m, nil
	}
	if err == nil {
		err = m.Decode(v)
	}
	return m, wrap("store.maintained", d.opt.Name, err)
}

// MarkMaintenance notes how far maintenance is.
func (d *Database) MarkMaintenance(ctx context.Context, m Maintenance) error {
	b := d.kv.NewBatch()
	b.Set(layout.FactKey("maintenance"), m.Encode())
	return d.commit(ctx, b)
}
