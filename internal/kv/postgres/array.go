package postgres

import (
	"encoding/binary"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// byteaArray is a bytea[] parameter. The driver's own way boxes each element.
type byteaArray [][]byte

// arrayCodec encodes byteaArray, and leaves all else to the driver's codec.
type arrayCodec struct{ pgtype.Codec }

// teach lets a session take byteaArray.
func teach(c *pgx.Conn) {
	m := c.TypeMap()
	if t, ok := m.TypeForOID(pgtype.ByteaArrayOID); ok {
		m.RegisterType(&pgtype.Type{Name: t.Name, OID: t.OID, Codec: arrayCodec{t.Codec}})
	}
}

// PlanEncode implements pgtype.Codec.
func (c arrayCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(byteaArray); ok && format == pgtype.BinaryFormatCode {
		return arrayPlan{}
	}
	return c.Codec.PlanEncode(m, oid, format, value)
}

type arrayPlan struct{}

// Encode implements pgtype.EncodePlan: dimensions, whether there are nulls, type
// of the elements, length and lower bound, then each with its length in front.
func (arrayPlan) Encode(value any, buf []byte) ([]byte, error) {
	a := value.(byteaArray) // PlanEncode looked
	header := [...]uint32{1, 0, pgtype.ByteaOID, uint32(len(a)), 1}
	n := 4 * len(header)
	for _, e := range a {
		n += 4 + len(e)
	}
	if cap(buf)-len(buf) < n {
		buf = append(make([]byte, 0, len(buf)+n), buf...)
	}
	for _, h := range header {
		buf = binary.BigEndian.AppendUint32(buf, h)
	}
	for _, e := range a {
		buf = append(binary.BigEndian.AppendUint32(buf, uint32(len(e))), e...)
	}
	return buf, nil
}
