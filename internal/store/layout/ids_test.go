package layout

import (
	"testing"
)

func TestObjectNames(t *testing.T) {
	n := ObjectName('M', 7, 1<<47+5)
	k, inc, id, err := ParseObjectName(n)
	if err != nil || k != 'M' || inc != 7 || id != 1<<47+5 {
		t.Errorf("%s -> %c %d %d %v", n, k, inc, id, err)
	}
	if _, _, _, err := ParseObjectName("M!"); err == nil {
		t.Error("rubbish accepted")
	}
}
