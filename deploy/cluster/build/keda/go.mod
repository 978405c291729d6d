// KEDA is not built: its CustomResourceDefinitions judge the chart's ScaledObject.
module randsvc/deploy/cluster/build/keda

go 1.26.0

require github.com/kedacore/keda/v2 v2.21.0
