// Generated from ../gateway.proto by ../generate-protocol.ts. Do not edit.
export const gatewayDescriptor = {
 "nested": {
  "tidegate": {
   "nested": {
    "v1": {
     "nested": {
      "Snapshots": {
       "methods": {
        "Subscribe": {
         "requestType": "FromDataPlane",
         "requestStream": true,
         "responseType": "ToDataPlane",
         "responseStream": true
        },
        "Peer": {
         "requestType": "PeerReport",
         "requestStream": true,
         "responseType": "PeerReport",
         "responseStream": true
        }
       }
      },
      "FromDataPlane": {
       "oneofs": {
        "message": {
         "oneof": [
          "hello",
          "verdict",
          "load",
          "health"
         ]
        }
       },
       "fields": {
        "hello": {
         "type": "Hello",
         "id": 1
        },
        "verdict": {
         "type": "Verdict",
         "id": 2
        },
        "load": {
         "type": "LoadReport",
         "id": 3
        },
        "health": {
         "type": "HealthReport",
         "id": 4
        }
       }
      },
      "Hello": {
       "fields": {
        "node": {
         "type": "string",
         "id": 1
        },
        "zone": {
         "type": "string",
         "id": 2
        },
        "schemaVersion": {
         "type": "uint32",
         "id": 3
        },
        "revision": {
         "type": "string",
         "id": 4
        },
        "programVersion": {
         "type": "string",
         "id": 5
        },
        "gateway": {
         "type": "string",
         "id": 6
        },
        "held": {
         "rule": "repeated",
         "type": "Held",
         "id": 7
        },
        "share": {
         "type": "Share",
         "id": 8
        }
       }
      },
      "Held": {
       "fields": {
        "id": {
         "type": "string",
         "id": 1
        },
        "hash": {
         "type": "string",
         "id": 2
        }
       }
      },
      "ToDataPlane": {
       "oneofs": {
        "message": {
         "oneof": [
          "delta",
          "refusal",
          "share"
         ]
        }
       },
       "fields": {
        "delta": {
         "type": "Delta",
         "id": 1
        },
        "refusal": {
         "type": "Refusal",
         "id": 2
        },
        "share": {
         "type": "Share",
         "id": 3
        }
       }
      },
      "Share": {
       "fields": {
        "place": {
         "type": "uint32",
         "id": 1
        },
        "dataPlanes": {
         "type": "uint32",
         "id": 2
        }
       }
      },
      "Refusal": {
       "fields": {
        "code": {
         "type": "string",
         "id": 1
        },
        "message": {
         "type": "string",
         "id": 2
        }
       }
      },
      "Delta": {
       "fields": {
        "baseRevision": {
         "type": "string",
         "id": 1
        },
        "revision": {
         "type": "string",
         "id": 2
        },
        "upsert": {
         "rule": "repeated",
         "type": "Resource",
         "id": 3
        },
        "removed": {
         "rule": "repeated",
         "type": "string",
         "id": 4
        },
        "last": {
         "type": "bool",
         "id": 5
        }
       }
      },
      "Resource": {
       "fields": {
        "id": {
         "type": "string",
         "id": 1
        },
        "hash": {
         "type": "string",
         "id": 2
        },
        "body": {
         "type": "bytes",
         "id": 3
        }
       }
      },
      "Verdict": {
       "fields": {
        "revision": {
         "type": "string",
         "id": 1
        },
        "accepted": {
         "type": "bool",
         "id": 2
        },
        "rejected": {
         "rule": "repeated",
         "type": "Rejected",
         "id": 3
        },
        "message": {
         "type": "string",
         "id": 4
        }
       }
      },
      "Rejected": {
       "fields": {
        "id": {
         "type": "string",
         "id": 1
        },
        "hash": {
         "type": "string",
         "id": 2
        },
        "message": {
         "type": "string",
         "id": 3
        }
       }
      },
      "LoadReport": {
       "fields": {
        "ready": {
         "type": "bool",
         "id": 1
        },
        "draining": {
         "type": "bool",
         "id": 2
        },
        "inFlight": {
         "type": "uint32",
         "id": 3
        },
        "requestsTotal": {
         "type": "uint64",
         "id": 4
        },
        "requestsPerSecond": {
         "type": "double",
         "id": 5
        },
        "eventLoopUtilisation": {
         "type": "double",
         "id": 6
        },
        "p99Ms": {
         "type": "double",
         "id": 7
        },
        "revision": {
         "type": "string",
         "id": 8
        },
        "workers": {
         "type": "uint32",
         "id": 9
        }
       }
      },
      "HealthReport": {
       "fields": {
        "whole": {
         "type": "bool",
         "id": 1
        },
        "backends": {
         "rule": "repeated",
         "type": "BackendHealth",
         "id": 2
        }
       }
      },
      "BackendHealth": {
       "fields": {
        "backend": {
         "type": "string",
         "id": 1
        },
        "blocked": {
         "rule": "repeated",
         "type": "string",
         "id": 2
        },
        "endpoints": {
         "type": "uint32",
         "id": 3
        }
       }
      },
      "PeerReport": {
       "fields": {
        "replica": {
         "type": "string",
         "id": 1
        },
        "leader": {
         "type": "bool",
         "id": 2
        },
        "revision": {
         "type": "string",
         "id": 3
        },
        "dataPlanes": {
         "rule": "repeated",
         "type": "DataPlane",
         "id": 4
        },
        "objects": {
         "type": "uint64",
         "id": 5
        },
        "compileMs": {
         "type": "double",
         "id": 6
        }
       }
      },
      "DataPlane": {
       "fields": {
        "node": {
         "type": "string",
         "id": 1
        },
        "zone": {
         "type": "string",
         "id": 2
        },
        "revision": {
         "type": "string",
         "id": 3
        },
        "rejected": {
         "rule": "repeated",
         "type": "Rejected",
         "id": 4
        },
        "load": {
         "type": "LoadReport",
         "id": 5
        },
        "programVersion": {
         "type": "string",
         "id": 6
        },
        "message": {
         "type": "string",
         "id": 7
        },
        "health": {
         "rule": "repeated",
         "type": "BackendHealth",
         "id": 8
        }
       }
      }
     }
    }
   }
  }
 }
};
