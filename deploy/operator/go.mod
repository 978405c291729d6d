// The Prometheus Operator whose CustomResourceDefinitions judge what the Helm chart renders: tests/support/chart.py.
module randsvc/deploy/operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0 // indirect
