package postgres

import (
	"bytes"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestByteaArray: the server reads what is encoded, empty elements included.
func TestByteaArray(t *testing.T) {
	c, err := pgx.Connect(t.Context(), cluster.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	teach(c)
	for _, want := range []byteaArray{{}, {{}}, {[]byte("a"), {}, bytes.Repeat([]byte{0, 0xff}, 5000)}} {
		var n int
		var joined []byte
		err := c.QueryRow(t.Context(), `SELECT count(*), coalesce(string_agg(x, '|' ORDER BY i), '') FROM unnest($1::bytea[]) WITH ORDINALITY u(x, i)`, want).Scan(&n, &joined)
		if err != nil || n != len(want) || !slices.Equal(joined, bytes.Join(want, []byte("|"))) {
			t.Errorf("%d elements of %d, %.20q: %v", n, len(want), joined, err)
		}
	}
}
