package attendant

import (
	"github.com/prometheus/client_golang/prometheus"

	"rialto/internal/kv"
)

// collector reports the engines of the mounted stores when it is asked.
type collector struct {
	s       *Stores
	mounted *prometheus.Desc
	commits *prometheus.Desc
	syncs   *prometheus.Desc
	seconds *prometheus.Desc
	debt    *prometheus.Desc
	disk    *prometheus.Desc
	free    *prometheus.Desc
	refused *prometheus.Desc
	oldest  *prometheus.Desc
}

// Collector returns the metrics of the stores.
func (s *Stores) Collector() prometheus.Collector {
	d := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("rialto_store_"+name, help, []string{"store"}, nil)
	}
	return &collector{
		s: s, mounted: d("mounted", "1 while the store is mounted."),
		commits: d("commits_total", "Batches ordered."), syncs: d("syncs_total", "Syncs of the log."),
		seconds: d("sync_seconds_total", "Time in syncs of the log."), debt: d("compaction_debt_bytes", "Bytes that compaction has to rewrite."),
		disk: d("disk_bytes", "Bytes on disk."), free: d("disk_free_bytes", "Bytes free on the disk."),
		refused: d("refused_total", "Batches refused for want of space."), oldest: d("oldest_snapshot_seconds", "Age of the oldest open snapshot."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.mounted, c.commits, c.syncs, c.seconds, c.debt, c.disk, c.free, c.refused, c.oldest} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for _, m := range c.s.m {
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, m.store.Name)
		}
		count := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, m.store.Name)
		}
		if m.db == nil {
			gauge(c.mounted, 0)
			continue
		}
		gauge(c.mounted, 1)
		if e, ok := m.db.Engine().(kv.Metered); ok {
			k := e.Metrics()
			count(c.commits, float64(k.Commits))
			count(c.syncs, float64(k.Syncs))
			count(c.seconds, k.SyncTime.Seconds())
			gauge(c.debt, float64(k.CompactionDebt))
			gauge(c.disk, float64(k.DiskBytes))
			count(c.refused, float64(k.Refused))
			gauge(c.oldest, k.OldestAge.Seconds())
		}
		if e, ok := m.db.Engine().(kv.Spacer); ok {
			if free, _, err := e.Space(); err == nil {
				gauge(c.free, float64(free))
			}
		}
	}
}
